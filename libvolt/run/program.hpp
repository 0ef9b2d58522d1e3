// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/event.hpp"
#include "libvolt/device/gpus.hpp"
#include "libvolt/run/scratch.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/sandbox/sandbox.hpp"
#include "libvolt/schema/job.hpp"

/// A command's program: started in a sandbox, listened to, measured, and ended when it must end.
namespace volt::run {

/// What the person at the command line gives a program, beyond what the job says.
struct Given {
  std::optional<sandbox::Level> level;         ///< none: the best that works here
  std::vector<host::Path> shown;               ///< files and folders of this machine, read-only
  std::map<std::string, std::string> secrets;  ///< their values by name
  bool network = false;                        ///< if the job wants it
  std::string device = "auto";                 ///< which GPUs; see device::choose()
  std::function<void()> started = [] {};       ///< called when the program runs
};

/// Secrets as a person gives them: "NAME=FILE", or "NAME", which is in this process's environment.
/// Throws Error (usage, not_found, local_io).
std::map<std::string, std::string> read_secrets(const std::vector<std::string>& given);
/// The same for a job, which must name each of them, and no other: its file may be a stranger's,
/// and decides over nobody's environment.
std::map<std::string, std::string> find_secrets(const schema::Job& job,
                                                const std::vector<std::string>& given);

/// What --host-path names: folders and files, several with ':' between. Throws Error: not_found;
/// usage for one that would show more than is good, such as / or the user's keys.
std::vector<host::Path> shown_paths(const std::vector<std::string>& given);

/// What the program uses now, and has used.
struct Sample {
  std::chrono::nanoseconds since_start{0}, cpu{0};
  std::uint64_t memory_bytes = 0, disk_bytes = 0, tasks = 0;
  std::vector<device::GpuSample> gpus;
};

/// How it came to an end by itself.
struct ProgramEnd {
  int status = 0;  ///< as a shell has it: 128 + n after signal n
  sandbox::Level level = sandbox::Level::none;
  std::uint64_t peak_memory_bytes = 0;
  std::chrono::nanoseconds cpu{0};
  std::vector<device::Gpu> gpus;
  std::string driver;  ///< of the GPUs
};

/// A program that was stopped, or could not be started: `status` is what a shell would show of it.
class Stopped : public Error {
 public:
  Stopped(const Error& error, int status, std::string_view ended)
      : Error(error), status_(status), ended_(ended) {}
  int status() const { return status_; }
  std::string_view ended() const { return ended_; }  ///< "limit", "volt"

 private:
  int status_;
  std::string_view ended_;
};

/// Runs the program of a job to its end. What it prints goes to `sink` with its secrets masked, and
/// `measure` is told what it uses, once a second and later more rarely. Nothing of it is left
/// afterwards, whatever happens. Throws Stopped (a limit; not found, not executable), Error
/// (sandbox, no_device, interrupted).
ProgramEnd run_program(const schema::Job& job, const Scratch& scratch, const Given& given,
                       Sink& sink, const Interrupt& interrupt,
                       const std::function<void(const Sample&)>& measure);

}  // namespace volt::run
