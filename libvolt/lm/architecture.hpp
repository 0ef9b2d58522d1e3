// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "libvolt/doc/value.hpp"
#include "libvolt/lm/rope.hpp"

namespace volt::lm {

enum class Family { llama, mistral, qwen2, qwen3, gpt2 };
std::string_view name_of(Family family);  ///< as `model_type` says it

enum class Activation { silu, gelu_tanh, era };

/// What a model's config.json says of its forward pass, and nothing of its training.
///
/// A layer is x += output(attention(norm(x))), then x += down(act(up(norm(x)))), or, when `gated`,
/// x += down(act(gate(x')) * up(x')) with x' = norm(x). Attention is causal, its scores are divided
/// by sqrt(head_width), and query head h reads key and value head h / (heads / kv_heads).
struct Architecture {
  Family family = Family::llama;
  std::uint64_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_width = 0, ff_width = 0;
  std::uint64_t vocabulary = 0;
  std::uint64_t context = 0;  ///< positions that the model was made for
  /// 0, or how many positions back some layer sees, itself included. Volt's attention sees all, so
  /// that a longer sample must be refused.
  std::uint64_t window = 0;

  bool layer_norm = false;  ///< LayerNorm with a bias; else RMSNorm
  float norm_epsilon = 0;
  bool gated = true;
  Activation activation = Activation::silu;
  float era_temperature = 1, era_lambda = 0;  ///< of Activation::era
  std::optional<Rope> rope;                   ///< none: learned embeddings of positions

  bool tied = false;  ///< the head is the token embedding
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;  ///< RMSNorm of each query and key head, before RoPE
  /// GPT-2's layout: query, key and value are one matrix, and matrices are stored [in, out].
  bool conv1d = false;

  /// As config.json has them; those outside the vocabulary, such as -1, are left out. They serve
  /// the tokenizer's reader: no result depends on them.
  std::optional<std::uint32_t> bos, pad;
  std::vector<std::uint32_t> eos;

  std::uint64_t query_width() const { return heads * head_width; }
  std::uint64_t kv_width() const { return kv_heads * head_width; }
  std::uint64_t qkv_width() const { return query_width() + 2 * kv_width(); }
  /// Tokens of the longest sample that volt computes as the model was made to.
  std::uint64_t sees() const { return window == 0 ? context : std::min(context, window); }
  bool operator==(const Architecture&) const = default;
};

inline constexpr std::int64_t max_vocabulary = 1 << 24;

/// Reads a config.json. What is not understood and could change the numbers is refused by name, as
/// are sizes beyond any model (1024 layers, width 65,536, vocabulary and context 2^24); other keys
/// are of no concern here. Defaults are those of transformers, but sizes must be there, and ids
/// have no default. Throws Error (usage) naming `origin` and the key.
Architecture parse_architecture(const doc::Value& config, std::string_view origin);

/// The config.json of `architecture`, which transformers reads too. An `era` model's activation is
/// a name that it refuses. Throws Error (usage) where parse_architecture() would not read the same
/// again: sizes beyond its bounds, or what the family does not have.
doc::Value to_config(const Architecture& architecture);

}  // namespace volt::lm
