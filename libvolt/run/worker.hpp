// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/event.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/schema/job.hpp"

/// Parent and worker. Whatever parses tensors or computes runs in a child process of the same
/// program, started with --worker: it is told one task on standard input, holds no key and no
/// network, and answers on one pipe with JSON Lines, whose number and length the parent bounds.
namespace volt::run {

/// One file handed to a worker. The worker sees descriptors, never names.
struct Handed {
  std::string name;  ///< "a", "b", "out", "image", "proof"
  int fd = -1;
};

/// What a worker is to do.
struct Task {
  doc::Value::Object request;  ///< "task" and what belongs to it
  std::vector<Handed> files;
};

/// A task with the job and the device in it, whose memory is limited to nine tenths of the
/// machine's unless `device` says otherwise.
Task task_for(std::string_view name, const schema::Job& job, const device::Wanted& device);

/// How the caller wants to be interrupted.
struct Interrupt {
  std::stop_token stop;
  int fd = -1;                                ///< becomes readable when stop was asked for
  std::optional<std::chrono::seconds> limit;  ///< wall time; past it: Error (timeout)
};

/// What came back.
struct Ending {
  doc::Value end;  ///< the last message's members
  std::uint64_t peak_memory_bytes = 0;
};

/// Starts a worker and follows it. Events go to `sink`; every other message but the last goes to
/// `message`. An error of the worker is thrown here as it was there; a worker that dies is an Error
/// (failure) that says how. Interrupted or too slow: killed, and Error (interrupted, timeout).
Ending work(const Task& task, Sink& sink, const Interrupt& interrupt,
            const std::function<void(const doc::Value&)>& message);

/// The worker's side: reads the task from standard input, does it, returns the exit status. Never
/// returns into the tool.
int worker_main();

/// Number of the descriptor on which a worker answers.
inline constexpr int answer_fd = 3;

}  // namespace volt::run
