// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/network_memory.hpp"
#include "libvolt/lm/training.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/workload/finetune_records.hpp"

namespace volt::workload {

/// What a training takes, told before it is begun: by counting alone, the data once tokenised.
struct Plan {
  std::uint64_t parameters = 0, trained = 0;  ///< elements
  std::uint64_t samples = 0, held_out = 0;
  std::uint64_t tokens = 0, predicted = 0;         ///< of all samples
  std::uint64_t step_tokens = 0, eval_tokens = 0;  ///< of all steps; of the samples held out
  Records records;

  /// Bytes of the device's memory, and on a CPU of the machine's.
  struct Memory {
    std::uint64_t base = 0, trained = 0, activations = 0, scratch = 0;
    std::uint64_t host = 0;  ///< of the machine's memory: samples, and states on their way
    std::uint64_t total() const { return base + trained + activations + scratch + host; }
  };
  Memory memory;
  std::uint64_t memory_limit = 0;  ///< what a device, or this machine, has for it
  lm::Capacity capacity;
  std::uint64_t layers = 0;        ///< of the model
  std::uint64_t output_bytes = 0;  ///< beside the states, but for headers

  /// What it needs beyond the limit, and which changes of the job would do; empty if it fits.
  std::string too_large, remedy;

  double forward_multiply_adds = 0, step_multiply_adds = 0;  ///< of each token
  double again_multiply_adds = 0;  ///< of a step's, for layers that are computed again

  /// Of all steps here, and of all looks at the samples held out.
  double multiply_adds() const;
};

lm::Profile profile_of(const schema::Finetune& job);

/// What a plan is made from.
struct Planned {
  const schema::Finetune& job;
  const lm::Architecture& architecture;
  std::span<const lm::TrainedTensor> tensors;  ///< that are trained
  const lm::Weights& weights;                  ///< of a base
  const lm::TokenSamples& samples;
  std::span<const std::uint32_t> train, eval;
  const lm::TrainingSettings& settings;
  std::uint64_t memory_limit;
  bool limit_given;
  bool on_host;                             ///< whether the device's memory is the machine's
  std::optional<std::uint64_t> disk_limit;  ///< bytes that kept states may take
};

/// Throws Error (usage) when there is nothing to train on.
Plan plan_of(const Planned& planned);

/// Throws Error (no_device) if it does not fit.
void refuse_unfit(const Plan& plan);

}  // namespace volt::workload
