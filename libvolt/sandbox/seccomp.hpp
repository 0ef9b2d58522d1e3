// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <vector>

namespace volt::sandbox {

/// Which system calls a program keeps.
struct Calls {
  bool network = false;  ///< may make sockets of the internet families
  /// Has namespaces of its own: what it reaches by sockets is its own. Otherwise it gets no Unix
  /// sockets but connected pairs, and changes neither limits nor priorities of other processes.
  bool isolated = false;
  /// Processes outside that it shares a pid namespace with and must not signal; used where the
  /// kernel cannot keep signals inside. To Linux a thread's id names its process as well: list
  /// threads, and the leaders of process groups, too. Empty: signals are not looked at.
  std::vector<pid_t> out_of_reach = {};
  /// Must not cut files that it cannot write; for a kernel whose Landlock knows nothing of that.
  bool keep_lengths = false;
  /// Changes of modes, owners, times and attributes by a file's name succeed and do nothing:
  /// Landlock knows nothing of them, and all files of the user would be open to them. By a
  /// descriptor, which only a file within reach can have, they are as ever.
  bool keep_attributes = false;
};

/// Installs the filter for the calling thread and all its later children, for good; sets
/// no_new_privs. A list of what is allowed: any other call, those of later kernels included,
/// answers ENOSYS, and what is refused on purpose EPERM. Throws Error (sandbox).
void restrict_calls(const Calls& calls);

}  // namespace volt::sandbox
