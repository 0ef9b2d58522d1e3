// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "libvolt/lm/frozen.hpp"

namespace volt::lm {

/// What a Network with what it trains takes of a device's memory, in bytes: all that is created
/// there, counted without creating it.
struct NetworkMemory {
  std::uint64_t frozen = 0;   ///< parameters that are not trained
  std::uint64_t trained = 0;  ///< Trained: values, gradients and averages; and one of them in limbs
  /// For each row that may be in the network at a time: what a forward pass keeps for the backward
  /// one, and what both compute in.
  std::uint64_t kept_per_row = 0, scratch_per_row = 0;

  std::uint64_t fixed() const { return frozen + trained; }
  std::uint64_t per_row() const { return kept_per_row + scratch_per_row; }
};

NetworkMemory network_memory(const Architecture& architecture,
                             std::span<const TrainedTensor> trained, Format format,
                             Profile profile);

}  // namespace volt::lm
