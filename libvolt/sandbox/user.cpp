// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/user.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::sandbox {
namespace {

bool has_capabilities(std::initializer_list<int> wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  for (const int capability : wanted) {
    if ((data[capability / 32].effective >> (capability % 32) & 1) == 0) return false;
  }
  return true;
}

bool may(const host::Path& path, mode_t others) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 && (facts.st_mode & others) == others;
}

}  // namespace

bool is_root() {
  if (::geteuid() != 0 || !has_capabilities({CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_CHOWN})) {
    return false;
  }
  // In a user namespace root is a user like others to the kernel, who has no other to become.
  std::string map = host::read_file("/proc/self/uid_map", 4096);
  std::erase(map, ' ');
  return trim(map) == "004294967295";  // users 0 and on are users 0 and on, all of them
}

bool is_admin() { return is_root() && has_capabilities({CAP_SYS_ADMIN, CAP_SETPCAP}); }

uid_t fresh_user() {
  constexpr uid_t first = 0x7000'0000, count = 0x0fff'ffff;
  // At random: other containers count processes as this one does.
  uid_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) {
    throw_system(errno, "no random numbers", {}, Exit::sandbox);
  }
  return first + random % count;
}

void give(const host::Path& folder, uid_t user) {
  const auto change = [&](const host::Path& path) {
    if (::lchown(path.c_str(), user, user) != 0) {
      throw_system(errno, "cannot give " + host::shown(path) + " to the program's user");
    }
  };
  change(folder);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    change(entry.path());
  }
}

bool passable(const host::Path& folder) {
  for (auto path = folder;; path = path.parent_path()) {
    if (!may(path, S_IXOTH)) return false;
    if (path == path.root_path()) return true;
  }
}

bool open_to_all(const host::Path& path) {
  return may(path, S_IROTH) && passable(path.parent_path());
}

void become_user(uid_t user) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 ||
      ::setresuid(user, user, user) != 0) {
    throw_system(errno, "cannot become another user", {}, Exit::sandbox);
  }
}

void kill_user(uid_t user) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setresuid(user, user, user) == 0) ::kill(-1, SIGKILL);  // all but the one who asks
    ::_exit(0);
  }
  while (pid > 0 && ::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace volt::sandbox
