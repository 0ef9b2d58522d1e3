// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "libvolt/host/files.hpp"

namespace volt::sandbox {

/// What a process may still reach by name. Everything not listed is refused.
struct Reach {
  std::vector<host::Path> read;     ///< files, and folders with all below: read, list, execute
  std::vector<host::Path> write;    ///< the same, and create, change, remove, rename within
  std::vector<host::Path> devices;  ///< character devices: open, read, write, ioctl
  bool network = false;             ///< false: no TCP bind or connect, where the kernel knows how
};

/// The version of Landlock's interface that the kernel offers, 0 when it has none (or it is
/// disabled); see landlock(7). 1 is files; 4 adds TCP, 5 device ioctl, 6 signals and abstract
/// sockets.
int landlock_version();

/// Restricts the calling thread and all its later children, for good; sets no_new_privs. Paths that
/// do not exist are left out. Signals to processes outside and connections to abstract sockets
/// outside are refused where the kernel knows how. Throws Error (sandbox).
void restrict_files(const Reach& reach);

}  // namespace volt::sandbox
