// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/remedy.hpp"

#include <sys/utsname.h>

#include <optional>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/host/files.hpp"

namespace volt::sandbox {
namespace {

/// A switch of the kernel; nullopt when this kernel has none of that name.
std::optional<std::string> sysctl(const char* path) {
  try {
    return std::string(trim(host::read_file(path, 4096)));
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool in_container() { return host::exists("/.dockerenv") || host::exists("/run/.containerenv"); }

}  // namespace

bool only_with_profile() {
  return sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1";
}

std::string namespaces_remedy() {
  // Ubuntu's profile for bubblewrap is packaged and not enabled.
  if (only_with_profile()) {
    return "sudo apt-get install apparmor-profiles && sudo ln -s "
           "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && sudo "
           "systemctl reload apparmor";
  }
  if (sysctl("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
    return "sudo sysctl kernel.unprivileged_userns_clone=1";
  }
  if (sysctl("/proc/sys/user/max_user_namespaces") == "0") {
    return "sudo sysctl user.max_user_namespaces=10000";
  }
  if (in_container()) {
    return "start the container with --security-opt seccomp=unconfined --security-opt "
           "apparmor=unconfined --security-opt systempaths=unconfined, or use --sandbox landlock";
  }
  return "--sandbox landlock needs no namespaces";
}

std::string landlock_remedy() {
  utsname name{};
  ::uname(&name);
  const auto numbers = split(name.release, '.');
  const auto major = parse_unsigned(numbers[0]).value_or(0);
  const auto minor = numbers.size() < 2 ? 0 : parse_unsigned(numbers[1]).value_or(0);
  if (major < 5 || (major == 5 && minor < 13)) {
    return "Linux 5.13 or newer has it; this is " + printable(name.release);
  }
  const auto modules = sysctl("/sys/kernel/security/lsm");
  if (modules && modules->find("landlock") == std::string::npos) {
    return "boot with lsm=landlock," + printable(*modules);
  }
  return in_container() ? "the container's system call filter refuses it: start it with "
                          "--security-opt seccomp=unconfined"
                        : "";
}

}  // namespace volt::sandbox
