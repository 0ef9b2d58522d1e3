// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/event.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/model_file.hpp"
#include "libvolt/lm/training.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/workload/finetune_plan.hpp"
#include "libvolt/workload/finetune_records.hpp"

/// The finetune workload. Its units are spans of steps, each a pure function of the job, its inputs
/// and the state before it. Runner and verifier call the same code.
namespace volt::workload {

/// What a unit told: its steps, and the held-out samples after the last of them.
struct UnitTold {
  std::vector<lm::StepTold> steps;
  std::optional<lm::EvalTold> eval;
};

/// How fast steps are: the last one of those that were measured.
struct Pace {
  double seconds = 0;
  std::uint64_t tokens = 0;
  std::uint64_t steps = 0;  ///< measured in all
};

/// How far a merged model is from base and adapter, behind each token of a probe.
struct MergedTold {
  std::uint64_t tokens = 0;
  std::uint64_t same_argmax = 0;  ///< behind so many both hold the same token likeliest
  float difference = 0;           ///< the largest of two logits, or NaN
};

/// A training made of what a job names.
class Finetune {
 public:
  /// Reads the data and counts; the network is made by build(). `folder` are the files of the
  /// model's folder, or of the new model's tokenizer, and `data` the training data, which must
  /// outlive it. Tells the sink what was read. Throws Error (usage, not_found).
  Finetune(const schema::Job& job, const lm::Files& folder, ByteView data, device::Device& device,
           Sink& sink);
  ~Finetune();

  const Plan& plan() const;
  const Records& records() const;  ///< at most

  /// To be called once, before all below. Throws Error: usage (weights that are not finite),
  /// no_device (it does not fit).
  void build();

  /// Times a few small steps, each larger than the one before, within about `at_most`. They change
  /// the state: for a plan alone.
  Pace measure(std::chrono::nanoseconds at_most);

  /// Record 0, and then each: units must be run in their order, or after go_on_from(). It stays
  /// until the next is made.
  ByteView begin();
  /// Runs a unit, counted from 1, and returns its record. `stepped` is called after each step.
  ByteView run(std::uint64_t unit, const std::function<void(const lm::StepTold&)>& stepped);
  /// Makes the state in record `unit` the present one. Throws Error (usage) if it is none.
  void go_on_from(ByteView record);
  UnitTold told_in(ByteView record, std::uint64_t unit) const;

  /// What of unit's telling follows from the job and from earlier tellings and is not so: order,
  /// counts, learning rate, beta1. Empty when all is as it should be.
  std::string contradiction(ByteView before, ByteView record, std::uint64_t unit);

  /// How far a record's state is from that of another, both made from the record before.
  lm::Trained::Drift drift(ByteView before, ByteView record, ByteView other) const;
  /// How far d of FlyLoRA can come in a unit.
  double furthest_d(std::uint64_t unit) const;

  /// Puts the bytes of an output beside the states, by its name, of the present state.
  void put_output(std::string_view output, const lm::Put& put) const;

  /// Computes a merged model.safetensors, as the file has it, and the present state, both in the
  /// job's profile, the latter with the base as the training keeps it: the logits behind up to 64
  /// tokens of the longest sample held out or, without any, of all. None where memory has no room
  /// for the merged model. Lets go of what build() made: nothing but plan() may follow. Throws
  /// Error (usage) if it is no such model.
  std::optional<MergedTold> compare_merged(ByteView model);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace volt::workload
