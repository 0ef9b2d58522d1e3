// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libvolt/host/files.hpp"

namespace volt::host {

/// How a child ended.
struct Ended {
  int status = 0;  ///< its exit status, when signal is 0
  int signal = 0;
  std::uint64_t peak_memory_bytes = 0;
};

/// A child process that dies with this one (parent-death signal SIGKILL, unless told otherwise) and
/// inherits no descriptor but those named.
class Child {
 public:
  struct Options {
    std::vector<std::string> argv;  ///< argv[0] is only a name; `program` is what runs
    Path program;
    std::vector<std::pair<int, int>> fds;  ///< (ours, its number in the child, 0 to 2 included)
    std::optional<std::vector<std::string>> environment =
        {};                 ///< "NAME=VALUE"; ours when not given
    Path folder = {};       ///< to start in; empty: ours
    bool session = false;   ///< of its own: no terminal, no signals of ours
    bool outlives = false;  ///< it notices by itself when this process is gone
  };
  /// Throws Error (failure) when it cannot be started.
  static Child start(const Options& options);

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child();  ///< kills and reaps a child that still runs

  pid_t pid() const { return pid_; }
  void kill(int signal) const;
  Ended wait();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
};

/// One process and no other: a number alone is given again, and after a restart means nothing.
struct ProcessName {
  pid_t pid = 0;
  std::uint64_t started = 0;  ///< clock ticks from the machine's start to the process's
  std::string boot;           ///< of the machine, this time
  bool operator==(const ProcessName&) const = default;
};
ProcessName own_name();
/// A pidfd, readable once the process has ended; none when it is no more.
Fd open_process(const ProcessName& name);
/// False when the process has ended. Throws Error (local_io) when it is somebody else's.
bool signal_process(const Fd& process, int signal);

/// Both ends of a pipe, close-on-exec.
struct Pipe {
  Fd read, write;
  Pipe();
};

}  // namespace volt::host
