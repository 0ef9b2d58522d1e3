// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/network_memory.hpp"

#include <algorithm>

#include "libvolt/lm/linear.hpp"

namespace volt::lm {
namespace {

using Role = TrainedTensor::Role;

/// Ranks of an adapter of LoRA or FlyLoRA; 0 of another tensor.
std::uint64_t rank_of(const TrainedTensor& tensor) {
  return tensor.role == Role::lora_a || tensor.role == Role::fly_a ? tensor.rows : 0;
}

/// Values; of what has a gradient also that and both averages; counts of FlyLoRA's d.
std::uint64_t bytes_per_element(const TrainedTensor& tensor) {
  if (tensor.has_gradient()) return 4 * 4;
  return tensor.role == Role::fly_d ? 2 * 4 : 4;
}

/// Columns that network_build.cpp keeps in each layer, with those of the adapters.
std::uint64_t kept_columns(const Architecture& a, std::span<const TrainedTensor> trained) {
  const std::uint64_t qkv = a.query_width() + 2 * a.kv_width();
  std::uint64_t layer = 4 * a.width + 2 * 2 + qkv + a.query_width() + 2 * a.heads + 2 * a.ff_width;
  if (a.gated) layer += a.ff_width;
  if (a.qk_norm) layer += qkv + a.heads + a.kv_heads;
  std::uint64_t columns = a.layers * layer + 2 + a.width;
  for (const auto& tensor : trained) {
    columns += (tensor.role == Role::fly_a ? 2 : 1) * rank_of(tensor);
  }
  return columns;
}

std::uint64_t scratch_bytes_per_row(const Architecture& a, std::span<const TrainedTensor> trained,
                                    bool limbs) {
  const std::uint64_t qkv = a.query_width() + 2 * a.kv_width();
  std::uint64_t widest = std::max({a.width, a.ff_width, qkv, a.vocabulary});
  for (const auto& tensor : trained) {
    widest = std::max(widest, rank_of(tensor));
  }
  const std::uint64_t columns = a.vocabulary + 3 + 3 * a.width +
                                2 * std::max({a.width, a.ff_width, qkv}) +
                                std::max(qkv, a.ff_width);
  // Room: four places, int8, or two limbs, and its scales. Then the batch, of which one vector is
  // there twice while it is replaced.
  return 4 * columns + (4 * 4 + (limbs ? 2 : 1)) * padded(widest) + 4 * groups_of(widest) + 4 * 5;
}

}  // namespace

NetworkMemory network_memory(const Architecture& architecture,
                             std::span<const TrainedTensor> trained, Format format,
                             Profile profile) {
  NetworkMemory memory;
  // Beside the parameters an angle of 8 bytes for each pair of a head.
  memory.frozen = frozen_bytes(architecture, format, profile, trained) +
                  (architecture.rope ? 8 * (architecture.head_width / 2) : 0);
  for (const auto& tensor : trained)
    memory.trained += bytes_per_element(tensor) * tensor.elements();
  memory.kept_per_row = 4 * kept_columns(architecture, trained);
  const LimbSizes limbs = limb_sizes(profile, trained);
  memory.trained += limbs.bytes();
  memory.scratch_per_row = scratch_bytes_per_row(architecture, trained, limbs.elements != 0);
  return memory;
}

}  // namespace volt::lm
