// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "libvolt/lm/frozen.hpp"
#include "libvolt/lm/network.hpp"

namespace volt::lm {

/// What a Network with what it trains takes of a device's memory, in bytes: all that is created
/// there, counted without creating it.
class NetworkMemory {
 public:
  NetworkMemory(const Architecture& architecture, std::span<const TrainedTensor> trained,
                Format format, Profile profile);

  std::uint64_t frozen() const { return frozen_; }    ///< parameters that are not trained
  std::uint64_t trained() const { return trained_; }  ///< Trained: values, gradients, averages
  /// What a forward pass keeps for the backward one.
  std::uint64_t activations(const Capacity& capacity) const;
  /// What both compute in.
  std::uint64_t scratch(const Capacity& capacity) const;
  std::uint64_t bytes(const Capacity& capacity) const {
    return frozen_ + trained_ + activations(capacity) + scratch(capacity);
  }

 private:
  Architecture architecture_;
  std::vector<TrainedTensor> tensors_;
  Profile profile_;
  std::uint64_t frozen_, trained_ = 0;
};

/// Rows whose logits are there at a time: about 2^24 of them, which may be far less than what they
/// are of all rows.
std::uint64_t logit_rows(const Architecture& architecture, std::uint64_t rows);

/// Of what lies in Network::State::work.
std::uint64_t work_elements(const Architecture& architecture, const Capacity& capacity);

RoomSize room_size(const Architecture& architecture, std::span<const TrainedTensor> trained,
                   Profile profile, const Capacity& capacity);

}  // namespace volt::lm
