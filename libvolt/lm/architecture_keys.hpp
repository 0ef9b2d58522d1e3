// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "libvolt/lm/architecture.hpp"

/// What the reader and the writer of config.json share; nobody else includes it.
namespace volt::lm {

/// The values of `model_type`, in the order of Family.
inline constexpr std::array<std::string_view, 5> families{"llama", "mistral", "qwen2", "qwen3",
                                                          "gpt2"};

/// The names of what all families have.
struct Keys {
  std::string_view layers, width, heads, ff_width, context, norm_epsilon, activation;
};
inline constexpr Keys llama_keys{
    "num_hidden_layers",       "hidden_size",  "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "rms_norm_eps", "hidden_act"};
inline constexpr Keys gpt2_keys{"n_layer",
                                "n_embd",
                                "n_head",
                                "n_inner",
                                "n_positions",
                                "layer_norm_epsilon",
                                "activation_function"};
inline const Keys& keys_of(Family family) {
  return family == Family::gpt2 ? gpt2_keys : llama_keys;
}

}  // namespace volt::lm
