// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "libvolt/host/files.hpp"

/// What a tree of processes uses, read from /proc. Processes that vanish meanwhile are left out.
namespace volt::sandbox {

/// All processes below `root`, itself left out.
std::vector<pid_t> processes_below(pid_t root);

struct Usage {
  std::uint64_t tasks = 0;  ///< threads of all processes
  /// Each page once; files in memory without a name, and what a socket may hold, included.
  std::uint64_t memory_bytes = 0;
  std::uint64_t nameless_bytes = 0;  ///< on the disk, of open files that were removed
  std::chrono::nanoseconds cpu{0};   ///< of living processes and those that they waited for
  std::uint64_t unseen = 0;  ///< processes whose open files could not be looked at, or not all
};

/// Of all processes below `root`. Memory is first added up cheaply, shared pages counted again and
/// again; only when that passes `memory_limit` it is counted exactly, which is slow (0: never).
Usage usage_below(pid_t root, std::uint64_t memory_limit);

/// Threads of all processes of the calling user on this machine, as far as /proc shows them: what
/// RLIMIT_NPROC is compared with.
std::uint64_t tasks_of_user();

/// Kills all processes below `root`, and those that they start meanwhile, until there are none.
/// Needs `root` to be a reaper of orphans (PR_SET_CHILD_SUBREAPER) or its children's namespace to
/// have one. Those that are children of the calling process are reaped. Gives up after `patience`;
/// returns whether none is left.
bool kill_below(pid_t root, std::chrono::milliseconds patience);

/// Bytes that a folder takes on its disk, with every file below it counted as at least a page, so
/// that many empty ones count as well. Links are not followed, other file systems not entered.
/// Stops counting beyond `enough`, and says to be there where something cannot be looked at: in a
/// folder without permissions, or below 128 others.
std::uint64_t disk_usage(const host::Path& folder, std::uint64_t enough);

}  // namespace volt::sandbox
