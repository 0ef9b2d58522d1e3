// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "libvolt/run/attempt.hpp"
#include "libvolt/run/event_file.hpp"
#include "libvolt/run/growing_file.hpp"
#include "libvolt/run/loss_chart.hpp"

namespace volt::run {

/// What a step cost, if this start of the run took it.
struct Measured {
  std::chrono::nanoseconds time{0};
  std::uint64_t memory_bytes = 0;  ///< the most so far
};

/// What a person sees of a training: its progress, a line a unit, numbers for scripts, and in the
/// run folder metrics.jsonl, loss.svg and TensorBoard's event file. metrics.jsonl and loss.svg
/// follow from the states alone, so that they do not depend on where a run was stopped.
class TrainingReport {
 public:
  TrainingReport(Attempt& attempt, std::uint64_t steps);

  /// What the worker told of the next step, and, after a unit's last one, of the held-out samples.
  /// Throws Error: failure (it is more than a step tells), local_io.
  void step(const doc::Value& told, const std::optional<Measured>& measured);
  void eval(const doc::Value& told);
  /// A unit is done.
  void unit();
  /// What the merged model does otherwise than base and adapter.
  void merged(const doc::Value& told);

  /// Draws the chart, and tells what it all came to.
  void finish(std::uint64_t peak_memory_bytes);
  /// Members of run.json and of the result.
  doc::Value::Object facts() const;

 private:
  struct Best {
    double loss;
    std::uint64_t step;
  };
  void add_line(const doc::Value& line);
  void add_event(std::span<const Scalar> scalars, std::uint64_t step);
  void show(const Measured& measured);
  double tokens_per_s() const;

  Attempt& attempt_;
  const std::uint64_t steps_;
  GrowingFile metrics_;
  std::optional<GrowingFile> events_;
  Losses losses_;
  std::optional<double> eval_;  ///< the last loss on the held-out samples, finite or not
  std::optional<Best> best_;
  doc::Value merged_;         ///< null: nothing was merged, or not compared
  std::uint64_t tokens_ = 0;  ///< of the steps that this start took
  std::chrono::nanoseconds time_{0};
  double recent_tokens_ = 0, recent_s_ = 0;  ///< of these, the more the later
};

}  // namespace volt::run
