// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/lm/network.hpp"
#include "libvolt/lm/pack.hpp"
#include "libvolt/lm/schedule.hpp"
#include "libvolt/lm/velvet.hpp"

namespace volt::lm {

/// All of a training that can change a bit of it, but for model and data.
struct TrainingSettings {
  std::uint64_t epochs = 1;
  std::uint64_t steps = 0;          ///< 0: as many as the epochs have
  std::uint64_t rows_per_step = 1;  ///< packed rows of a global batch
  float rate = 2e-4F;
  Schedule::Kind schedule = Schedule::Kind::cosine;
  std::uint64_t warmup = 0;  ///< steps
  float beta1 = 0.9F, beta2 = 0.999F, epsilon = 1e-8F, decay = 0;
  std::optional<Velvet::Parts> velvet;  ///< which adapt rate and beta1; none: AdamW
  float clip = 1;                       ///< the largest norm of a step's gradient, 0: any
  float dropout = 0;
  std::uint64_t seed = 1;
};

/// How long a training is: from its samples and settings alone.
struct Course {
  std::vector<std::uint64_t> epoch_ends;  ///< the step after each epoch's last
  std::uint64_t steps = 0;
  std::uint64_t tokens = 0;  ///< of all steps
};
/// Throws Error (usage) when there is nothing to train on, or more than 10^9 samples in all epochs.
Course course_of(const TokenSamples& samples, std::span<const std::uint32_t> train,
                 const TrainingSettings& settings);

/// One step, as the trace has it.
struct StepTold {
  std::uint64_t step = 0;
  float loss = 0;     ///< mean over the predicted tokens, sum128 over the batch's tokens in order
  float entropy = 0;  ///< of the softmax, in nats; a mean as the loss is
  float norm = 0;     ///< of the mean loss's gradient, before clipping
  float clip = 1;     ///< what clipping left of it
  float rate = 0, beta1 = 0;
  std::uint64_t tokens = 0, predicted = 0;
  bool skipped = false;  ///< loss or norm were not finite: nothing was changed

  bool operator==(const StepTold&) const = default;
};

/// What a held-out set says of a model.
struct EvalTold {
  float loss = 0, confidence = 0, entropy = 0;  ///< means over the predicted tokens
  std::uint64_t predicted = 0;
  bool finite = true;
};

/// A training from its first step to its last: a pure function of model, samples and settings. The
/// state after step t, and all that is told, do not depend on the device, on threads, on how many
/// tokens fit at a time, or on where it was interrupted.
class Training {
 public:
  /// Everything given must outlive it. At most `most_tokens` tokens are in the network at a time,
  /// and at least a sample. Throws Error (usage) when there is nothing to train on.
  Training(Network& network, Trained& trained, const TokenSamples& samples,
           std::vector<std::uint32_t> train, const TrainingSettings& settings,
           std::uint64_t most_tokens);

  std::uint64_t steps() const { return course_.steps; }  ///< in all
  std::uint64_t next() const { return next_; }  ///< how many were taken, skipped ones counted
  bool done() const { return next_ == course_.steps; }

  StepTold step();
  /// What a step's telling must be but for loss, entropy, norm, clip and skipped: from the data,
  /// and from what the steps before it told.
  StepTold expected(std::uint64_t step, const std::optional<Velvet>& before);
  /// Whether a step's clip and skipped are those of its loss and norm.
  bool agrees(const StepTold& told) const;
  /// Over samples in their order, each alone. Changes nothing.
  EvalTold evaluate(std::span<const std::uint32_t> samples);

  std::uint64_t state_bytes() const;
  /// What the next step depends on beside the settings: "volt.training/1\n", then in little-endian
  /// how many steps were taken and skipped, the state of Trained, and velvet's averages.
  Bytes state() const;
  void save(std::span<std::uint8_t> state) const;  ///< the same, to as many bytes
  /// Throws Error (usage) unless it is the state of such a training.
  void restore(ByteView state);
  /// Of states of such a training.
  Trained::Drift drift(ByteView before, ByteView state, ByteView other) const;
  /// How many steps a state says were taken; it is at least as long as a state.
  static std::uint64_t steps_in(ByteView state);
  static std::uint64_t skipped_in(ByteView state);
  /// With its averages; of such a training's state alone, and none unless it is velvet's.
  std::optional<Velvet> velvet_in(ByteView state) const;

 private:
  /// One epoch's order, once it is reached.
  struct Epoch {
    std::uint64_t index;
    Packing packing;
    std::vector<std::uint64_t> first_token;  ///< of each row, counted from the start of training
  };
  void reach(std::uint64_t epoch);
  /// The samples of a step, in order, and how many tokens the training has had before.
  struct StepData {
    std::span<const std::uint32_t> samples;
    std::uint64_t first_token;
  };
  StepData data_of(std::uint64_t step);
  void set_pace(StepTold& told, const std::optional<Velvet>& velvet) const;
  float clip_of(float norm) const;
  /// Calls run(batch, tokens before it, whether others follow) for as many samples at a time as
  /// fit.
  template <class Run>
  void in_batches(std::span<const std::uint32_t> samples, Run run) const;
  void append(Batch& batch, std::uint32_t sample) const;

  Network& network_;
  Trained& trained_;
  const TokenSamples& samples_;
  const std::vector<std::uint32_t> train_;
  const TrainingSettings settings_;
  const std::uint64_t most_tokens_;
  const Course course_;
  std::optional<Epoch> epoch_;
  std::optional<Velvet> velvet_;
  std::uint64_t next_ = 0, skipped_ = 0;
};

}  // namespace volt::lm
