// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/seen.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"

namespace volt::run {
namespace {

/// What must not have two results.
Digest promise_of(const schema::SignedReceipt& receipt) {
  crypto::Sha256 hash;
  hash.update(as_bytes(receipt.signer.id())).update(receipt.receipt.job.bytes);
  for (const auto& input : receipt.receipt.inputs) hash.update(input.identity().bytes);
  hash.update(as_bytes(std::to_string(receipt.receipt.attempt)));
  return hash.finish();
}

}  // namespace

std::optional<std::string> Seen::contradiction(const schema::SignedReceipt& receipt) {
  host::make_folder(file_.parent_path());
  const host::Fd fd(
      ::open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw_system(errno, "cannot open " + printable(file_.string()));
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) throw_system(errno, "cannot lock " + printable(file_.string()));
  }
  std::string text(host::stamp_of(fd.get()).bytes, '\0');
  host::read_at(fd.get(), 0, reinterpret_cast<std::uint8_t*>(text.data()), text.size());
  const std::string promise = promise_of(receipt).hex(), root = receipt.receipt.trace_root.hex();
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3 || words[0] != promise) continue;
    if (words[1] == root) return std::nullopt;
    return "the signer gave another result for attempt " + std::to_string(receipt.receipt.attempt) +
           " of this job before (receipt " + printable(words[2]) +
           "); an honest further try is a further attempt: gpu-run --force";
  }
  // A line that was cut short by a crash is ended first, so that it spoils only itself.
  const bool torn = !text.empty() && text.back() != '\n';
  host::write_all(fd.get(),
                  (torn ? "\n" : "") + promise + " " + root + " " + receipt.digest().hex() + "\n");
  return std::nullopt;
}

}  // namespace volt::run
