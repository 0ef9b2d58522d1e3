// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/scratch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/sandbox/usage.hpp"
#include "libvolt/sandbox/user.hpp"

namespace volt::run {
namespace {

constexpr std::uint64_t most_copied_bytes = std::uint64_t{64} << 20;

void copy(const inputs::Found& input, const host::Path& to, const std::stop_token& stop) {
  const host::Fd out(
      ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out) throw_system(errno, "cannot create " + host::shown(to));
  Bytes chunk(std::size_t{1} << 20);
  for (std::uint64_t offset = 0;;) {
    if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
    const auto count = host::read_at(input.fd.get(), offset, chunk.data(), chunk.size());
    if (count == 0) break;
    host::write_at(out.get(), offset, {chunk.data(), count});
    offset += count;
  }
  struct stat facts {};
  ::fstat(input.fd.get(), &facts);
  ::fchmod(out.get(), (facts.st_mode & S_IXUSR) != 0 ? 0555 : 0444);
  // What was hashed is what was copied.
  input.check_unchanged();
}

void link(const std::string& target, const host::Path& path) {
  host::make_folder(path.parent_path());
  if (::symlink(target.c_str(), path.c_str()) != 0) {
    throw_system(errno, "cannot create " + host::shown(path));
  }
}

}  // namespace

Scratch::Scratch(const host::Path& folder, const schema::Job& job,
                 const std::vector<inputs::Found>& found, std::stop_token stop)
    : folder_(std::filesystem::absolute(folder).lexically_normal()) {
  if (!is_utf8(folder_.string())) {
    throw Error(Exit::usage, host::shown(folder_) + " is not UTF-8",
                "choose another folder with -o");
  }
  host::remove_tree(folder_);
  for (const char* name : {"work", "inputs", "tmp", "home"}) host::make_folder(folder_ / name);
  for (const auto& input : found) place(input, stop);
  for (const auto& [name, input] : job.inputs()) {
    std::string up = "../";
    for (const char c : name) up += c == '/' ? "../" : "";
    // Where the working folder is, the inputs lie beside it, whatever both are called.
    link(up + "inputs/" + std::string(name), work() / name);
    // A folder may be empty.
    if (!std::filesystem::exists(std::filesystem::symlink_status(folder_ / "inputs" / name))) {
      host::make_folder(folder_ / "inputs" / name);
    }
  }
}

void Scratch::place(const inputs::Found& input, const std::stop_token& stop) {
  if (!schema::is_plain_path(input.name)) {
    throw Error(Exit::usage, "an input is called " + printable(input.name));
  }
  const auto path = folder_ / "inputs" / input.name;
  host::make_folder(path.parent_path());
  const auto real = std::filesystem::canonical(input.path);
  // Root's programs run as somebody else, who may not read all that root may.
  const bool readable = !sandbox::is_root() || sandbox::open_to_all(real);
  if (input.stamp.bytes <= most_copied_bytes || !readable) return copy(input, path, stop);
  if (!is_utf8(real.string())) {
    throw Error(Exit::usage, host::shown(real) + " is not UTF-8", "rename the file");
  }
  link(real.string(), path);
  in_place_.push_back(real);
}

std::uint64_t Scratch::disk_bytes(std::uint64_t enough) const {
  std::uint64_t bytes = 0;
  for (const char* name : {"work", "tmp", "home"}) {
    bytes += sandbox::disk_usage(folder_ / name, enough);
  }
  return bytes;
}

void Scratch::remove_links(const schema::Job& job) const {
  for (const auto& [name, input] : job.inputs()) {
    const auto path = work() / name;
    std::error_code error;
    if (std::filesystem::is_symlink(std::filesystem::symlink_status(path, error))) {
      ::unlink(path.c_str());
    }
  }
}

}  // namespace volt::run
