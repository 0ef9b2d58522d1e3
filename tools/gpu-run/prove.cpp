// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/prove.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "libvolt/base/text.hpp"
#include "libvolt/net/http.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {

Exit prove(cli::Session& session, const Arguments& arguments) {
  const bool to_stdout = arguments.output.empty();
  if (to_stdout && (session.json() || ::isatty(STDOUT_FILENO) == 1)) {
    throw Error(Exit::usage, "a proof is binary, and standard output is not the place for it here",
                "give -o FILE");
  }
  const auto http = net::curl_http();
  const host::Path part = arguments.output + ".part" + std::to_string(::getpid());
  host::Fd file(
      to_stdout ? ::dup(STDOUT_FILENO)
                : ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file) throw_system(errno, "cannot create " + printable(part.string()));
  std::uint64_t bytes = 0;
  try {
    bytes = run::prove(arguments.job, arguments.challenge, file.get(),
                       device::wanted(arguments.device, arguments.threads),
                       places(arguments, ".", *http), session.sink(), interrupt(session));
    if (!to_stdout) host::rename_into(part, arguments.output);
  } catch (...) {
    if (!to_stdout) ::unlink(part.c_str());
    throw;
  }
  session.result({{"proof", arguments.output}, {"bytes", bytes}});
  return Exit::ok;
}

}  // namespace volt::gpu_run
