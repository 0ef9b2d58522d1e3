// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/network_memory.hpp"

#include <algorithm>

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

/// Columns of a layer's Activations.
std::uint64_t layer_columns(const Architecture& a) {
  std::uint64_t columns =
      3 * a.width + 2 * 2 + a.qkv_width() + a.query_width() + 2 * a.heads + 2 * a.ff_width;
  if (a.gated) columns += a.ff_width;
  if (a.qk_norm) columns += a.qkv_width() + a.heads + a.kv_heads;
  return columns;
}

/// What adapters keep of a forward pass.
std::uint64_t adapter_columns(std::span<const TrainedTensor> tensors) {
  std::uint64_t columns = 0;
  for (const auto& tensor : tensors) {
    columns += (tensor.role == Role::fly_a ? 2 : 1) * rank_of(tensor);
  }
  return columns;
}

}  // namespace

std::uint64_t logit_rows(const Architecture& architecture, std::uint64_t rows) {
  constexpr std::uint64_t usual = std::uint64_t{1} << 24, least = 128;
  return std::min(rows, std::max(least, usual / architecture.vocabulary));
}

std::uint64_t work_elements(const Architecture& a, const Capacity& capacity) {
  std::uint64_t columns = a.rope ? 0 : a.width;  // embedded positions
  if (capacity.kept_layers != 0) {
    // Of what leaves the activation; of attention, and of what enters it.
    const std::uint64_t of_attention =
        std::max(a.query_width(), a.width) + (a.qk_norm ? 2 : 1) * a.qkv_width();
    columns = std::max(a.ff_width, of_attention);
  }
  return std::max(capacity.rows * columns, logit_rows(a, capacity.rows) * a.vocabulary);
}

RoomSize room_size(const Architecture& a, std::span<const TrainedTensor> trained, Profile profile,
                   const Capacity& capacity) {
  std::uint64_t rank = 0;
  bool routed = false;
  for (const auto& tensor : trained) {
    rank = std::max(rank, rank_of(tensor));
    routed = routed || tensor.role == Role::fly_a;
  }
  const std::uint64_t widest = padded(std::max({a.width, a.ff_width, a.qkv_width(), rank}));
  RoomSize size;
  if (rotates(profile)) {
    size.quants =
        std::max(capacity.rows * widest, logit_rows(a, capacity.rows) * padded(a.vocabulary));
    size.places[0] = size.quants;
  } else {  // what adapters pass back, or halves of embeddings
    size.places[0] = capacity.rows * std::max(rank, (a.width + 1) / 2);
  }
  if (capacity.dropout) size.places[1] = size.places[2] = capacity.rows * widest;
  if (routed) size.places[3] = capacity.rows * rank;
  size.limbs = limb_sizes(profile, trained);
  if (profile == Profile::native) {
    size.halves[0] = std::max(capacity.rows * widest,
                              logit_rows(a, capacity.rows) * std::max(a.vocabulary, a.width));
    size.halves[1] = size.halves[0];
    for (const auto& tensor : trained) {
      size.halves[1] = std::max(size.halves[1], tensor.elements());
    }
  }
  return size;
}

NetworkMemory::NetworkMemory(const Architecture& architecture,
                             std::span<const TrainedTensor> trained, Format format, Profile profile)
    : architecture_(architecture),
      tensors_(trained.begin(), trained.end()),
      profile_(profile),
      // Beside the parameters an angle of 8 bytes for each pair of a head.
      frozen_(frozen_bytes(architecture, format, profile, trained) +
              (architecture.rope ? 8 * (architecture.head_width / 2) : 0)) {
  for (const auto& tensor : trained) trained_ += bytes_per_element(tensor) * tensor.elements();
}

std::uint64_t NetworkMemory::activations(const Capacity& capacity) const {
  const Architecture& a = architecture_;
  const bool learns = capacity.kept_layers != 0;
  const std::uint64_t columns = (learns ? a.layers + 1 : 1) * a.width +
                                (learns ? capacity.kept_layers : 1) * layer_columns(a) +
                                adapter_columns(tensors_);
  return 4 * capacity.rows * columns;
}

std::uint64_t NetworkMemory::scratch(const Capacity& capacity) const {
  const std::uint64_t width = architecture_.width;
  const bool learns = capacity.kept_layers != 0;
  // What is told of each row, and the batch's words, of which one vector is there twice while it is
  // replaced.
  const std::uint64_t of_rows = 3 + 5 + (learns ? width : 0);
  const std::uint64_t of_logits = 2 + (learns ? 2 : 1) * width;
  return 4 * (capacity.rows * of_rows + logit_rows(architecture_, capacity.rows) * of_logits +
              work_elements(architecture_, capacity)) +
         room_size(architecture_, tensors_, profile_, capacity).bytes();
}

}  // namespace volt::lm
