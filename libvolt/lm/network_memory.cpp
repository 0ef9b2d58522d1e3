// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/network_memory.hpp"

#include <algorithm>

#include "kernels/backend.hpp"

namespace volt::lm {
namespace {

using Role = TrainedTensor::Role;

std::uint64_t groups_of(std::uint64_t extent) {
  return (extent + kernels::group - 1) / kernels::group;
}
std::uint64_t padded(std::uint64_t extent) { return groups_of(extent) * kernels::group; }

/// Linear's int8 and its scales, once for each row and once for each column.
std::uint64_t rotated_bytes(std::uint64_t out, std::uint64_t in) {
  return padded(out) * padded(in) + 4 * padded(out) * groups_of(in) +
         4 * groups_of(out) * padded(in);
}

std::uint64_t linear_bytes(const Parameter& parameter, Profile profile) {
  const std::uint64_t rows = parameter.shape[0], cols = parameter.shape[1];
  return profile == Profile::i8x ? rotated_bytes(rows, cols) : 4 * rows * cols;
}

std::uint64_t frozen_bytes(const Architecture& a, std::span<const TrainedTensor> trained,
                           Profile profile) {
  // One angle, of 8 bytes, for each pair of a head.
  std::uint64_t bytes = a.rope ? 8 * (a.head_width / 2) : 0;
  for (const auto& parameter : parameters_of(a)) {
    const bool is_trained = std::ranges::any_of(trained, [&](const TrainedTensor& tensor) {
      return tensor.role == Role::whole && tensor.slot == parameter.slot;
    });
    if (is_trained) continue;
    const Part part = parameter.slot.part;
    const bool table = part == Part::token_embedding || part == Part::position_embedding;
    std::uint64_t elements = 1;
    for (const auto extent : parameter.shape) elements *= extent;
    if (parameter.shape.size() != 2 || table) bytes += 4 * elements;
    if (parameter.shape.size() != 2) continue;
    // A tied head has a copy of the embedding for itself.
    if (!table || (part == Part::token_embedding && a.tied)) {
      bytes += linear_bytes(parameter, profile);
    }
  }
  return bytes;
}

/// Columns that network_build.cpp keeps in each layer, with those of the adapters.
std::uint64_t kept_columns(const Architecture& a, std::span<const TrainedTensor> trained) {
  const std::uint64_t qkv = a.query_width() + 2 * a.kv_width();
  std::uint64_t layer = 4 * a.width + 2 * 2 + qkv + a.query_width() + 2 * a.heads + 2 * a.ff_width;
  if (a.gated) layer += a.ff_width;
  if (a.qk_norm) layer += qkv + a.heads + a.kv_heads;
  std::uint64_t columns = a.layers * layer + 2 + a.width;
  for (const auto& tensor : trained) {
    if (tensor.role == Role::lora_a) columns += tensor.rows;
  }
  return columns;
}

std::uint64_t scratch_bytes_per_row(const Architecture& a, std::span<const TrainedTensor> trained) {
  const std::uint64_t qkv = a.query_width() + 2 * a.kv_width();
  std::uint64_t widest = std::max({a.width, a.ff_width, qkv, a.vocabulary});
  for (const auto& tensor : trained) {
    if (tensor.role == Role::lora_a) widest = std::max(widest, tensor.rows);
  }
  const std::uint64_t columns = a.vocabulary + 3 + 3 * a.width +
                                2 * std::max({a.width, a.ff_width, qkv}) +
                                std::max(qkv, a.ff_width);
  // Room: zeros and four places, int8 and its scales. Then the batch, of which one vector is there
  // twice while it is replaced.
  return 4 * columns + (4 * 5 + 1) * padded(widest) + 4 * groups_of(widest) + 4 * 5;
}

}  // namespace

NetworkMemory network_memory(const Architecture& architecture,
                             std::span<const TrainedTensor> trained, Profile profile) {
  NetworkMemory memory;
  memory.frozen = frozen_bytes(architecture, trained, profile);
  // Values, gradients, both averages and zeros.
  for (const auto& tensor : trained) memory.trained += 5 * 4 * tensor.elements();
  memory.kept_per_row = 4 * kept_columns(architecture, trained);
  memory.scratch_per_row = scratch_bytes_per_row(architecture, trained);
  return memory;
}

}  // namespace volt::lm
