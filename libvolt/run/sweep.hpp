// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "libvolt/inputs/inputs.hpp"
#include "libvolt/run/job_file.hpp"
#include "libvolt/run/worker.hpp"

/// The points of a sweep, each an ordinary run in a folder of its own, by a child process that is
/// this program again: what ends one of them ends no other.
namespace volt::run {

struct SweepOptions {
  host::Path folder;  ///< that of the points' folders; empty: NAME.run
  bool force = false;
  std::size_t at_once = 1;
  std::vector<std::size_t> points;  ///< to run, in order
  /// A point as a job, with all that the command line adds to it. Throws Error.
  std::function<schema::Job(std::size_t)> job;
  std::vector<std::string> arguments;  ///< for each child, beside job and folder
  inputs::Places places;
  std::string signer;  ///< key id of whose runs count as complete
};

/// How a point stands.
struct Point {
  enum class State { missing, complete, failed };
  host::Path folder;
  State state = State::missing;
  std::string error;  ///< of one that failed
};

struct SweepOutcome {
  host::Path folder;
  std::vector<Point> points;  ///< all of the sweep
};

/// The folder that a sweep is run in when nobody says another one.
inline host::Path usual_folder(const JobFile& file) { return file.job.name + ".run"; }

/// Checks every point, then runs those chosen that are not complete. One that fails is an outcome.
/// Throws Error: whatever is wrong with a point before anything runs; conflict; interrupted, once
/// all children have ended. After one, the same call goes on with what is missing.
SweepOutcome run_sweep(const JobFile& file, const SweepOptions& options, Sink& sink,
                       const Interrupt& interrupt);

}  // namespace volt::run
