// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/parameters.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace volt::lm {
namespace {

using Flag = bool Architecture::*;

enum class Extent { none, vocabulary, context, width, query, kv, qkv, ff, head };

struct Row {
  Part part;
  std::string_view module;
  Extent rows, columns = Extent::none;
  Flag bias = nullptr;    ///< whether it has one, of as many elements as it has outputs
  Flag exists = nullptr;  ///< null: always
};

/// The modules of a family: before the layers, in each of them, and behind them.
struct Modules {
  std::string_view prefix, layers;
  std::span<const Row> before, layer, behind;
};

using A = Architecture;

constexpr std::array llama_before{
    Row{Part::token_embedding, "embed_tokens", Extent::vocabulary, Extent::width}};
constexpr std::array llama_layer{
    Row{Part::attention_norm, "input_layernorm", Extent::width},
    Row{Part::query, "self_attn.q_proj", Extent::query, Extent::width, &A::qkv_bias},
    Row{Part::key, "self_attn.k_proj", Extent::kv, Extent::width, &A::qkv_bias},
    Row{Part::value, "self_attn.v_proj", Extent::kv, Extent::width, &A::qkv_bias},
    Row{Part::query_norm, "self_attn.q_norm", Extent::head, Extent::none, nullptr, &A::qk_norm},
    Row{Part::key_norm, "self_attn.k_norm", Extent::head, Extent::none, nullptr, &A::qk_norm},
    Row{Part::output, "self_attn.o_proj", Extent::width, Extent::query, &A::output_bias},
    Row{Part::mlp_norm, "post_attention_layernorm", Extent::width},
    Row{Part::gate, "mlp.gate_proj", Extent::ff, Extent::width, &A::mlp_bias},
    Row{Part::up, "mlp.up_proj", Extent::ff, Extent::width, &A::mlp_bias},
    Row{Part::down, "mlp.down_proj", Extent::width, Extent::ff, &A::mlp_bias}};
constexpr std::array llama_behind{Row{Part::final_norm, "norm", Extent::width}};

constexpr std::array gpt2_before{
    Row{Part::token_embedding, "wte", Extent::vocabulary, Extent::width},
    Row{Part::position_embedding, "wpe", Extent::context, Extent::width}};
constexpr std::array gpt2_layer{
    Row{Part::attention_norm, "ln_1", Extent::width, Extent::none, &A::layer_norm},
    Row{Part::qkv, "attn.c_attn", Extent::width, Extent::qkv, &A::qkv_bias},
    Row{Part::output, "attn.c_proj", Extent::query, Extent::width, &A::output_bias},
    Row{Part::mlp_norm, "ln_2", Extent::width, Extent::none, &A::layer_norm},
    Row{Part::up, "mlp.c_fc", Extent::width, Extent::ff, &A::mlp_bias},
    Row{Part::down, "mlp.c_proj", Extent::ff, Extent::width, &A::mlp_bias}};
constexpr std::array gpt2_behind{
    Row{Part::final_norm, "ln_f", Extent::width, Extent::none, &A::layer_norm}};

constexpr Modules llama_modules{"model.", "layers.", llama_before, llama_layer, llama_behind};
constexpr Modules gpt2_modules{"transformer.", "h.", gpt2_before, gpt2_layer, gpt2_behind};

const Modules& modules_of(Family family) {
  return family == Family::gpt2 ? gpt2_modules : llama_modules;
}

std::uint64_t elements(const Architecture& a, Extent extent) {
  switch (extent) {
    case Extent::vocabulary:
      return a.vocabulary;
    case Extent::context:
      return a.context;
    case Extent::width:
      return a.width;
    case Extent::query:
      return a.query_width();
    case Extent::kv:
      return a.kv_width();
    case Extent::qkv:
      return a.qkv_width();
    case Extent::ff:
      return a.ff_width;
    case Extent::head:
      return a.head_width;
    case Extent::none:
      break;
  }
  return 1;
}

void add(std::vector<Parameter>& parameters, const Architecture& a, std::uint64_t layer,
         const std::string& prefix, std::span<const Row> rows) {
  for (const Row& row : rows) {
    if (row.exists != nullptr && !(a.*row.exists)) continue;
    const std::string module = prefix + std::string(row.module);
    std::vector<std::uint64_t> shape{elements(a, row.rows)};
    if (row.columns != Extent::none) shape.push_back(elements(a, row.columns));
    const std::uint64_t outputs = a.conv1d ? shape.back() : shape.front();
    parameters.push_back({{layer, row.part, false}, module + ".weight", std::move(shape)});
    if (row.bias != nullptr && a.*row.bias)
      parameters.push_back({{layer, row.part, true}, module + ".bias", {outputs}});
  }
}

}  // namespace

bool is_linear(Part part) {
  static constexpr std::array linear{Part::qkv,    Part::query, Part::key, Part::value,
                                     Part::output, Part::gate,  Part::up,  Part::down};
  return std::ranges::find(linear, part) != linear.end();
}

std::string_view prefix_of(Family family) { return modules_of(family).prefix; }

std::vector<Parameter> parameters_of(const Architecture& a) {
  const Modules& modules = modules_of(a.family);
  const std::string prefix(modules.prefix);
  std::vector<Parameter> parameters;
  add(parameters, a, 0, prefix, modules.before);
  for (std::uint64_t layer = 0; layer < a.layers; ++layer) {
    const std::string within = prefix + std::string(modules.layers) + std::to_string(layer) + ".";
    add(parameters, a, layer, within, modules.layer);
  }
  add(parameters, a, 0, prefix, modules.behind);
  if (!a.tied)
    parameters.push_back({{0, Part::head, false}, "lm_head.weight", {a.vocabulary, a.width}});
  return parameters;
}

bool is_buffer(Family family, std::string_view name) {
  if (family == Family::gpt2)
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
  return name.ends_with("rotary_emb.inv_freq");
}

}  // namespace volt::lm
