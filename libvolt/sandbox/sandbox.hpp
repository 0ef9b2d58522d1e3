// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/host/process.hpp"
#include "libvolt/sandbox/program.hpp"

/// Runs a stranger's program so that it reaches nothing but what it was given. A supervisor (this
/// program again, started with --sandboxed) stands between: it confines the program, follows it,
/// and ends all that the program started, however any of the three ends.
namespace volt::sandbox {

/// What holds a program, from the weakest to the strongest. See volt-sandbox(7).
enum class Level {
  none,        ///< only its limits
  landlock,    ///< sees this machine's files and processes, reaches its own; no sockets
  namespaces,  ///< sees only its own files, processes and network
};
inline constexpr Level levels[]{Level::namespaces, Level::landlock, Level::none};

std::string_view name_of(Level level);
std::optional<Level> level_of(std::string_view name);

/// How a program ended.
struct Ended {
  int status = 0;  ///< its exit status, when signal is 0
  int signal = 0;
  std::uint64_t peak_memory_bytes = 0;  ///< of its largest process
  std::chrono::nanoseconds cpu{0};      ///< of all its processes
};

/// A program that runs.
class Sandbox {
 public:
  /// Starts `wanted` with these as its standard output and error. Throws Error: sandbox, when this
  /// machine cannot do `level`, with the remedy as its hint; not_found or answer_is_no, when the
  /// program is not there or cannot be executed: see NotStarted.
  static Sandbox start(Level level, const Program& wanted, int standard_output, int standard_error);
  Sandbox(Sandbox&&) = default;
  Sandbox& operator=(Sandbox&&) = delete;
  ~Sandbox();  ///< ends all that still runs

  /// Readable when the program has ended.
  int fd() const { return channel_.get(); }
  /// Processes below this one are the program's, but for at most `own_tasks`.
  pid_t root() const { return child_.pid(); }
  static constexpr std::uint64_t own_tasks = 3;

  /// Asks the program, and all of its process group, with a signal.
  void signal(int number);
  /// Waits for the program's end, and that nothing of it is left. Throws Error (sandbox) when the
  /// supervisor was killed.
  Ended wait();

 private:
  Sandbox(Level level, host::Child child, host::Fd channel)
      : level_(level), child_(std::move(child)), channel_(std::move(channel)) {}
  void await_start();
  void end();
  Level level_;
  host::Child child_;
  host::Fd channel_;
  host::Fd first_;  ///< pidfd of the first process of its namespace, with which all others end
};

/// The program that was to be started is not there, or is none.
class NotStarted : public Error {
 public:
  using Error::Error;
};

/// Whether a level works here, found out by using it.
struct Availability {
  Level level;
  bool works = false;
  std::string why;     ///< why not
  std::string remedy;  ///< the line that would mend it; empty when nothing is known
};
Availability availability(Level level);

}  // namespace volt::sandbox
