// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "libvolt/host/process.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

std::vector<std::string> environment(const run::Run& run, const run::End& end) {
  const std::pair<std::string, std::string> ours[] = {
      {"VOLT_RUN=", run.id},
      {"VOLT_FOLDER=", run.folder.string()},
      {"VOLT_NAME=", run.name},
      {"VOLT_STATE=", std::string(to_text(run::state_of(end.ended, end.status)))},
      {"VOLT_STATUS=", std::to_string(end.status)}};
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one) all.emplace_back(*one);
  for (const auto& own : ours) {
    std::erase_if(all, [&](const auto& one) { return one.starts_with(own.first); });
    all.push_back(own.first + own.second);
  }
  return all;
}

/// How the line failed; empty when it did not.
std::string failure(const std::string& line, std::vector<std::string> environment, int out) {
  const host::Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!nothing) throw_system(errno, "cannot open /dev/null");
  host::Child::Options options;
  options.argv = {"sh", "-c", line};
  options.program = "/bin/sh";
  options.fds = {{nothing.get(), 0}, {out, 1}, {out, 2}};
  options.environment = std::move(environment);
  const auto ended = host::Child::start(options).wait();
  if (ended.signal != 0) return "was ended by signal " + std::to_string(ended.signal);
  return ended.status == 0 ? "" : "ended with status " + std::to_string(ended.status);
}

}  // namespace

void run_then(cli::Session& session, const std::string& line, const run::Run& run,
              const run::End& end, bool to_log) {
  const auto path = run.folder / ".volt" / "log";
  const host::Fd log(to_log ? ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW)
                            : -1);
  std::string text;
  try {
    const auto what = failure(line, environment(run, end), log ? log.get() : STDERR_FILENO);
    if (what.empty()) return;
    text = "the line of --then " + what;
  } catch (const Error& error) {
    text = "--then: " + error.text();
  }
  session.sink().send(Log{Log::Level::warning, text});
  text = "volt: warning: " + text + "\n";
  if (log) static_cast<void>(!::write(log.get(), text.data(), text.size()));
}

}  // namespace volt::gpu_run
