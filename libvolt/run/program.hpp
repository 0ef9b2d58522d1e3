// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/event.hpp"
#include "libvolt/device/gpus.hpp"
#include "libvolt/run/given.hpp"
#include "libvolt/run/scratch.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/sandbox/sandbox.hpp"
#include "libvolt/schema/job.hpp"

/// A command's program: started in a sandbox, listened to, measured, and ended when it must end.
namespace volt::run {

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
