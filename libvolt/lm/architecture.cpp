// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/architecture.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/architecture_keys.hpp"

namespace volt::lm {
namespace {

using doc::Fields;
using doc::Value;
using Words = std::initializer_list<std::string_view>;

constexpr std::int64_t max_layers = 1024, max_heads = 4096, max_head_width = 4096;
constexpr std::int64_t max_width = 65536, max_ff_width = 1 << 20;
constexpr std::int64_t max_context = 1 << 24;
// The widest matrix then has 2^41 elements, and a model 2^53: nothing that is computed of them
// leaves 64 bits.
constexpr std::uint64_t max_query_width = std::uint64_t{1} << 20;

/// Keys that some model of a supported model_type carries, or that a writer could take for
/// supported, and that change what it computes unless they have this value, 1 or 0. Null, false and
/// emptiness are 0, and true is 1.
struct Changing {
  std::string_view key;
  double neutral;
};
constexpr std::array changing{
    Changing{"add_cross_attention", 0},
    Changing{"alibi", 0},
    Changing{"attention_chunk_size", 0},
    Changing{"attention_multiplier", 0},
    Changing{"attention_sinks", 0},
    Changing{"attn_logit_softcapping", 0},
    Changing{"auto_map", 0},  // a program of the model's own
    Changing{"clip_qkv", 0},
    Changing{"compression_config", 0},
    Changing{"embedding_multiplier", 1},
    Changing{"final_logit_softcapping", 0},
    Changing{"is_causal", 1},
    Changing{"is_encoder_decoder", 0},
    Changing{"logit_scale", 1},
    Changing{"logits_scaling", 1},
    Changing{"moe_intermediate_size", 0},
    Changing{"n_routed_experts", 0},
    Changing{"no_rope_layers", 0},
    Changing{"num_experts", 0},
    Changing{"num_experts_per_tok", 0},
    Changing{"num_local_experts", 0},
    Changing{"parallel_attention", 0},
    Changing{"partial_rotary_factor", 1},
    Changing{"per_layer_config", 0},
    Changing{"pruned_heads", 0},
    Changing{"quantization_config", 0},
    Changing{"query_pre_attn_scalar", 0},
    Changing{"residual_multiplier", 1},
    Changing{"rope_interleave", 0},
    Changing{"rope_interleaved", 0},
    Changing{"rotary_pct", 1},
    Changing{"scale_attn_by_inverse_layer_idx", 0},
    Changing{"scale_attn_weights", 1},
    Changing{"use_bidirectional_attention", 0},
    Changing{"use_parallel_residual", 0},
};

bool is_neutral(const Value& value, double neutral) {
  if (value.get_if<std::nullptr_t>()) return true;
  if (const auto* truth = value.get_if<bool>()) return *truth == (neutral != 0);
  if (const auto* whole = value.get_if<std::int64_t>())
    return static_cast<double>(*whole) == neutral;
  if (const auto* number = value.get_if<double>()) return *number == neutral;
  if (neutral != 0) return false;
  if (const auto* list = value.get_if<Value::Array>()) return list->empty();
  const auto* table = value.get_if<Value::Object>();
  return table != nullptr && table->empty();
}

void refuse_changing(Fields& fields, std::string_view key, double neutral) {
  const Value* value = fields.find(key);
  if (value == nullptr || is_neutral(*value, neutral)) return;
  const bool scalar = !value->get_if<Value::Array>() && !value->get_if<Value::Object>();
  fields.fail(key, *value,
              "is " + (scalar ? printable(doc::to_json(*value), 40) : std::string(value->kind())) +
                  ", which changes what the model computes and is not supported");
}

/// A member that is neither absent nor null, which mean the same here.
bool given(Fields& fields, std::string_view key) {
  const Value* value = fields.find(key);
  return value != nullptr && value->get_if<std::nullptr_t>() == nullptr;
}

std::uint64_t size(Fields& fields, std::string_view key, std::int64_t high) {
  return static_cast<std::uint64_t>(fields.integer(key, 1, high));
}
std::uint64_t size_or(Fields& fields, std::string_view key, std::int64_t high,
                      std::uint64_t absent) {
  return given(fields, key) ? size(fields, key, high) : absent;
}
double number_or(Fields& fields, std::string_view key, double low, double high, double absent) {
  return given(fields, key) ? fields.number(key, low, high) : absent;
}
bool truth_or(Fields& fields, std::string_view key, bool absent) {
  return given(fields, key) ? fields.boolean(key) : absent;
}
const std::string& choice(Fields& fields, std::string_view key, Words words) {
  return fields.choice(key, {words.begin(), words.size()});
}

/// The float nearest to what was written: rounding the double again could be off by one.
float nearest_float(double value) {
  const std::string text = to_text(value);
  float result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

std::string rope_type(Fields& table) {
  // transformers writes both names, of which the second is the older.
  const char* key = given(table, "rope_type") ? "rope_type" : "type";
  if (!given(table, key)) return "default";
  const auto& type = choice(table, key, {"default", "linear", "dynamic", "llama3"});
  if (given(table, "type") && table.string("type") != type)
    table.fail("type", table.get("type"), "is another than rope_type");
  return type;
}

void read_scaling(Fields& table, Rope& rope) {
  const std::string type = rope_type(table);
  if (type != "default") rope.factor = table.number("factor", 1, 1e6);
  if (type == "linear") {
    rope.scaling = Rope::Scaling::linear;
  } else if (type == "llama3") {
    rope.scaling = Rope::Scaling::llama3;
    rope.low_freq_factor = table.number("low_freq_factor", 0.001, 1e6);
    rope.high_freq_factor = table.number("high_freq_factor", 0.001, 1e6);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      table.fail("high_freq_factor", table.get("high_freq_factor"), "is not above low_freq_factor");
    rope.original_context = size(table, "original_max_position_embeddings", std::int64_t{1} << 32);
  } else {
    // "dynamic" stretches theta once a sample is longer than the context, which is refused; up to
    // there it is the default.
    rope.factor = 1;
  }
}

Rope read_rope(Fields& config) {
  constexpr double least_theta = 2, most_theta = 1e12;
  Rope rope;
  const bool outside = given(config, "rope_theta");
  if (outside) rope.theta = config.number("rope_theta", least_theta, most_theta);
  const bool older = given(config, "rope_scaling"), newer = given(config, "rope_parameters");
  if (older && newer)
    config.fail("rope_parameters", config.get("rope_parameters"), "is there beside rope_scaling");
  if (!older && !newer) return rope;

  Fields table = config.table(newer ? "rope_parameters" : "rope_scaling");
  const double theta = number_or(table, "rope_theta", least_theta, most_theta, rope.theta);
  if (outside && theta != rope.theta)
    table.fail("rope_theta", table.get("rope_theta"), "is another than that of the model");
  rope.theta = theta;
  refuse_changing(table, "partial_rotary_factor", 1);
  read_scaling(table, rope);
  table.refuse_others();
  return rope;
}

/// Whether "sliding_attention" is among the layers' types; refuses what else is not full attention.
bool any_layer_slides(Fields& config) {
  bool any = false;
  for (const Value& type : config.array("layer_types")) {
    const auto* name = type.get_if<std::string>();
    if (name != nullptr && *name == "full_attention") continue;
    any = name != nullptr && *name == "sliding_attention";
    if (!any)
      config.fail("layer_types", config.get("layer_types"),
                  "has " + (name ? "\"" + printable(*name, 40) + "\"" : std::string(type.kind())) +
                      ", not \"full_attention\" or \"sliding_attention\"");
  }
  return any;
}

std::uint64_t read_window(Fields& config, const Architecture& a) {
  constexpr std::int64_t any = INT64_MAX;
  const bool typed = given(config, "layer_types");
  const bool slides = typed && any_layer_slides(config);
  const bool qwen = a.family == Family::qwen2 || a.family == Family::qwen3;
  if (qwen && truth_or(config, "use_sliding_window", false)) {
    // Without types the first max_window_layers see all.
    const std::int64_t seeing =
        given(config, "max_window_layers") ? config.integer("max_window_layers", 0, any) : 28;
    const bool some = typed ? slides : static_cast<std::uint64_t>(seeing) < a.layers;
    return some ? size_or(config, "sliding_window", any, 4096) : 0;
  }
  std::uint64_t window = 0;
  if (!qwen) {  // to transformers of no meaning in a Llama, and with one to others
    const bool absent = config.find("sliding_window") == nullptr;
    window =
        size_or(config, "sliding_window", any, a.family == Family::mistral && absent ? 4096 : 0);
  }
  if (slides && window == 0)
    config.fail("layer_types", config.get("layer_types"),
                "has \"sliding_attention\" without a sliding_window");
  return window;
}

std::vector<std::uint32_t> read_ids(Fields& config, std::string_view key, const Architecture& a) {
  std::vector<std::uint32_t> ids;
  if (!given(config, key)) return ids;
  const Value& value = config.get(key);
  const auto add = [&](const Value& one) {
    const auto* id = one.get_if<std::int64_t>();
    if (id == nullptr)
      config.fail(key, value, "is or has " + std::string(one.kind()) + ", not a whole number");
    if (*id >= 0 && static_cast<std::uint64_t>(*id) < a.vocabulary)
      ids.push_back(static_cast<std::uint32_t>(*id));
  };
  if (const auto* list = value.get_if<Value::Array>())
    for (const Value& one : *list) add(one);
  else
    add(value);
  return ids;
}

std::optional<std::uint32_t> read_id(Fields& config, std::string_view key, const Architecture& a) {
  const auto ids = read_ids(config, key, a);
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

void read_activation(Fields& config, Architecture& a) {
  const auto key = keys_of(a.family).activation;
  if (!given(config, key)) {
    a.activation = a.family == Family::gpt2 ? Activation::gelu_tanh : Activation::silu;
    return;
  }
  const auto& name = choice(config, key, {"silu", "swish", "gelu_new", "gelu_pytorch_tanh", "era"});
  a.activation = name == "era"                       ? Activation::era
                 : name == "silu" || name == "swish" ? Activation::silu
                                                     : Activation::gelu_tanh;
  if (a.activation != Activation::era) return;
  // In a pretrained model it would break the weights: only what to_config() wrote is read.
  if (!given(config, "era_temperature") || !given(config, "era_lambda"))
    config.fail(key, config.get(key),
                "is \"era\" without era_temperature and era_lambda, which volt writes for a model "
                "that it made from scratch");
  a.era_temperature = nearest_float(config.number("era_temperature", 1e-3, 1e3));
  a.era_lambda = nearest_float(config.number("era_lambda", -1e3, 1e3));
}

void read_heads(Fields& config, Architecture& a) {
  const auto& keys = keys_of(a.family);
  const bool gpt2 = a.family == Family::gpt2;
  a.heads = size(config, keys.heads, max_heads);
  a.kv_heads = a.heads;
  // Absent in the oldest Llamas; the other families' defaults are those of one size.
  if (!gpt2 && (a.family != Family::llama || given(config, "num_key_value_heads")))
    a.kv_heads = size(config, "num_key_value_heads", max_heads);
  if (a.heads % a.kv_heads != 0)
    config.fail("num_key_value_heads", config.get("num_key_value_heads"),
                "is " + std::to_string(a.kv_heads) + ", which does not divide the " +
                    std::to_string(a.heads) + " of num_attention_heads");

  if (!gpt2 && (a.family == Family::qwen3 || given(config, "head_dim"))) {
    a.head_width = size(config, "head_dim", max_head_width);
  } else if (a.width % a.heads != 0) {
    config.fail(keys.heads, config.get(keys.heads),
                "is " + std::to_string(a.heads) + ", which does not divide the " +
                    std::to_string(a.width) + " of " + std::string(keys.width));
  } else {
    a.head_width = a.width / a.heads;
  }
  if (a.head_width % 2 != 0 || a.head_width > max_head_width || a.query_width() > max_query_width)
    config.fail(keys.heads, config.get(keys.heads),
                "makes " + std::to_string(a.heads) + " heads of width " +
                    std::to_string(a.head_width) + "; the width must be even and at most " +
                    std::to_string(max_head_width) + ", all together at most " +
                    std::to_string(max_query_width));
}

void read_flags(Fields& config, Architecture& a) {
  const bool llama = a.family == Family::llama, gpt2 = a.family == Family::gpt2;
  const bool chosen =
      (llama || a.family == Family::qwen3) && truth_or(config, "attention_bias", false);
  a.layer_norm = a.conv1d = gpt2;
  a.gated = !gpt2;
  a.qkv_bias = gpt2 || a.family == Family::qwen2 || chosen;
  a.output_bias = gpt2 || chosen;
  a.mlp_bias = gpt2 || (llama && truth_or(config, "mlp_bias", false));
  a.qk_norm = a.family == Family::qwen3;
  a.tied = truth_or(config, "tie_word_embeddings", gpt2);
}

}  // namespace

std::string_view name_of(Family family) { return families[static_cast<std::size_t>(family)]; }

Architecture parse_architecture(const Value& config, std::string_view origin) {
  const doc::Source source{printable(origin), Exit::usage};
  Fields fields(config, source);
  Architecture a;
  const auto& type = fields.choice("model_type", families);
  a.family =
      static_cast<Family>(std::find(families.begin(), families.end(), type) - families.begin());
  for (const auto& [key, neutral] : changing) refuse_changing(fields, key, neutral);

  const auto& keys = keys_of(a.family);
  const bool gpt2 = a.family == Family::gpt2;
  a.layers = size(fields, keys.layers, max_layers);
  a.width = size(fields, keys.width, max_width);
  a.ff_width = gpt2 ? size_or(fields, keys.ff_width, max_ff_width, 4 * a.width)
                    : size(fields, keys.ff_width, max_ff_width);
  a.vocabulary = size(fields, "vocab_size", max_vocabulary);
  // n_ctx is the older name, and in later files another thing.
  const bool older = gpt2 && !given(fields, keys.context) && given(fields, "n_ctx");
  a.context = size(fields, older ? "n_ctx" : keys.context, max_context);
  a.norm_epsilon = nearest_float(fields.number(keys.norm_epsilon, 1e-30, 1));
  read_heads(fields, a);
  read_flags(fields, a);
  read_activation(fields, a);
  if (!gpt2) a.rope = read_rope(fields);
  a.window = read_window(fields, a);
  a.bos = read_id(fields, "bos_token_id", a);
  a.pad = read_id(fields, "pad_token_id", a);
  a.eos = read_ids(fields, "eos_token_id", a);
  return a;
}

}  // namespace volt::lm
