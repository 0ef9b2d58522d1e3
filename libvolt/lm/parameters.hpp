// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/lm/architecture.hpp"

namespace volt::lm {

/// What a parameter is to the forward pass, whatever a family calls it; in the order of use.
enum class Part {
  token_embedding,     ///< [vocabulary, width]
  position_embedding,  ///< [context, width]; without Rope
  attention_norm,      ///< [width]
  qkv,                 ///< conv1d: [width, 3 width], query, key and value side by side
  query,               ///< [query_width, width]
  key,                 ///< [kv_width, width]
  value,               ///< [kv_width, width]
  query_norm,          ///< [head_width]
  key_norm,            ///< [head_width]
  output,              ///< [width, query_width]
  mlp_norm,            ///< [width]
  gate,                ///< [ff_width, width]
  up,                  ///< [ff_width, width]; conv1d: [width, ff_width]
  down,                ///< [width, ff_width]; conv1d: [ff_width, width]
  final_norm,          ///< [width]
  head,                ///< [vocabulary, width]; absent when tied
};

/// Whether it is a linear map of a layer, which stands for a matrix [out, in] or, of conv1d, [in,
/// out].
bool is_linear(Part part);

/// One parameter of one model. `layer` is 0 where the part belongs to none.
struct Slot {
  std::uint64_t layer = 0;
  Part part = Part::token_embedding;
  bool bias = false;

  auto operator<=>(const Slot&) const = default;
};

struct Parameter {
  Slot slot;
  std::string name;  ///< in Hugging Face checkpoints: "model.layers.0.self_attn.q_proj.weight"
  std::vector<std::uint64_t> shape;
};

/// All parameters of a model, each once, in the order of use. `architecture` keeps to the bounds of
/// parse_architecture().
std::vector<Parameter> parameters_of(const Architecture& architecture);

/// What all names but the head's begin with, and what some checkpoints leave out.
std::string_view prefix_of(Family family);

/// Whether a checkpoint may hold a tensor of this name beside the parameters: buffers that older
/// versions of transformers stored (the causal mask, RoPE's frequencies), and which follow from
/// config.json.
bool is_buffer(Family family, std::string_view name);

}  // namespace volt::lm
