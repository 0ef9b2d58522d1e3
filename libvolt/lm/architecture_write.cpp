// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/architecture.hpp"
#include "libvolt/lm/architecture_keys.hpp"

namespace volt::lm {
namespace {

using doc::Value;

/// The double that is written as shortly as the float is, and reads as that float again.
double decimal(float value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return parse_number({text.data(), static_cast<std::size_t>(end - text.data())}).value_or(value);
}

Value scaling_config(const Rope& rope) {
  if (rope.scaling == Rope::Scaling::none) return nullptr;
  if (rope.scaling == Rope::Scaling::linear)
    return Value::Object{{"rope_type", "linear"}, {"type", "linear"}, {"factor", rope.factor}};
  return Value::Object{{"rope_type", "llama3"},
                       {"factor", rope.factor},
                       {"low_freq_factor", rope.low_freq_factor},
                       {"high_freq_factor", rope.high_freq_factor},
                       {"original_max_position_embeddings", rope.original_context}};
}

Value id_config(const std::optional<std::uint32_t>& id) {
  return id ? Value(std::int64_t{*id}) : Value(nullptr);
}

Value eos_config(const Architecture& a) {
  if (a.eos.empty()) return nullptr;
  if (a.eos.size() == 1) return std::int64_t{a.eos[0]};
  Value::Array list;
  for (const auto id : a.eos) list.emplace_back(std::int64_t{id});
  return list;
}

std::string_view activation_config(const Architecture& a) {
  if (a.activation == Activation::era) return "era";
  return a.activation == Activation::silu ? "silu" : "gelu_new";
}

std::string_view class_of(Family family) {
  constexpr std::array<std::string_view, 5> names{"LlamaForCausalLM", "MistralForCausalLM",
                                                  "Qwen2ForCausalLM", "Qwen3ForCausalLM",
                                                  "GPT2LMHeadModel"};
  return names[static_cast<std::size_t>(family)];
}

void add_llama_config(Value::Object& config, const Architecture& a) {
  config.emplace_back("num_key_value_heads", a.kv_heads);
  config.emplace_back("head_dim", a.head_width);
  config.emplace_back("rope_theta", a.rope ? Value(a.rope->theta) : Value());
  config.emplace_back("rope_scaling", a.rope ? scaling_config(*a.rope) : Value());
  if (a.family == Family::llama || a.family == Family::qwen3)
    config.emplace_back("attention_bias", a.output_bias);
  if (a.family == Family::llama) config.emplace_back("mlp_bias", a.mlp_bias);
  const bool qwen = a.family == Family::qwen2 || a.family == Family::qwen3;
  if (qwen) {
    config.emplace_back("use_sliding_window", a.window != 0);
    config.emplace_back("max_window_layers", a.window != 0 ? std::uint64_t{0} : a.layers);
  }
  if (qwen || a.family == Family::mistral || a.window != 0)
    config.emplace_back("sliding_window", a.window != 0 ? Value(a.window) : Value());
}

}  // namespace

Value to_config(const Architecture& a) {
  const auto& keys = keys_of(a.family);
  Value::Object config{{"architectures", Value::Array{class_of(a.family)}},
                       {"model_type", name_of(a.family)},
                       {"vocab_size", a.vocabulary},
                       {std::string(keys.layers), a.layers},
                       {std::string(keys.width), a.width},
                       {std::string(keys.heads), a.heads},
                       {std::string(keys.ff_width), a.ff_width},
                       {std::string(keys.context), a.context},
                       {std::string(keys.norm_epsilon), decimal(a.norm_epsilon)},
                       {std::string(keys.activation), activation_config(a)},
                       {"tie_word_embeddings", a.tied},
                       {"bos_token_id", id_config(a.bos)},
                       {"eos_token_id", eos_config(a)},
                       {"pad_token_id", id_config(a.pad)}};
  if (a.activation == Activation::era) {
    config.emplace_back("era_temperature", decimal(a.era_temperature));
    config.emplace_back("era_lambda", decimal(a.era_lambda));
  }
  if (a.family != Family::gpt2) add_llama_config(config, a);
  Value result(std::move(config));
  if (parse_architecture(result, "the model") != a)
    throw Error(Exit::usage, "the model: a " + std::string(name_of(a.family)) +
                                 " cannot be as this one is described");
  return result;
}

}  // namespace volt::lm
