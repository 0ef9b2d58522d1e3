// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/landlock.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace volt::sandbox {
namespace {

using host::Fd, host::Path, host::shown;

// Version 2 and older are in the oldest header that volt is built with; the rest is as in the
// kernel's documentation, userspace-api/landlock.
struct Attributes {
  std::uint64_t files = 0, network = 0, scopes = 0;
};
constexpr std::uint64_t truncate_file = 1 << 14;
constexpr std::uint64_t ioctl_device = 1 << 15;
constexpr std::uint64_t bind_and_connect_tcp = 0b11;
constexpr std::uint64_t abstract_sockets_and_signals = 0b11;

constexpr std::uint64_t to_read =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t to_write = to_read | LANDLOCK_ACCESS_FS_WRITE_FILE | truncate_file |
                                   LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                   LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                   LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t to_use_device =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ioctl_device;
// Rules on anything but a folder may name no others.
constexpr std::uint64_t of_one_file = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                                      LANDLOCK_ACCESS_FS_WRITE_FILE | truncate_file | ioctl_device;

/// All that this version of the interface can refuse.
Attributes refusable(int version, bool network) {
  Attributes all;
  all.files = LANDLOCK_ACCESS_FS_REFER - 1;
  if (version >= 2) all.files |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) all.files |= truncate_file;
  if (version >= 4 && !network) all.network = bind_and_connect_tcp;
  if (version >= 5) all.files |= ioctl_device;
  if (version >= 6) all.scopes = abstract_sockets_and_signals;
  return all;
}

void allow(const Fd& rules, const Path& path, std::uint64_t access) {
  const Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return;
  struct stat facts {};
  if (!fd || ::fstat(fd.get(), &facts) != 0) {
    throw_system(errno, "cannot open " + shown(path) + " for the sandbox", {}, Exit::sandbox);
  }
  if (!S_ISDIR(facts.st_mode)) access &= of_one_file;
  const landlock_path_beneath_attr rule{access, fd.get()};
  if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    throw_system(errno, "cannot allow " + shown(path) + " in the sandbox", {}, Exit::sandbox);
  }
}

}  // namespace

int landlock_version() {
  const auto version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return static_cast<int>(std::max(version, 0L));
}

void restrict_files(const Reach& reach) {
  const int version = landlock_version();
  if (version == 0) {
    throw Error(Exit::sandbox, "this kernel does not offer Landlock",
                "it needs Linux 5.13, and landlock among the names in /sys/kernel/security/lsm");
  }
  const auto all = refusable(version, reach.network);
  // An older kernel takes the longer attributes as long as what it does not know is 0.
  const Fd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0)));
  if (!rules) throw_system(errno, "cannot use Landlock", {}, Exit::sandbox);
  for (const auto& path : reach.read) allow(rules, path, all.files & to_read);
  for (const auto& path : reach.write) allow(rules, path, all.files & to_write);
  for (const auto& path : reach.devices) allow(rules, path, all.files & to_use_device);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
    throw_system(errno, "cannot enter the sandbox of Landlock", {}, Exit::sandbox);
  }
}

}  // namespace volt::sandbox
