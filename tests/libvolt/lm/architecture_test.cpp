// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/architecture.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/host/files.hpp"

namespace volt::lm {
namespace {

using doc::Value;

const std::filesystem::path tests = std::filesystem::path(__FILE__).parent_path() / "../..";

Value read_json(const std::filesystem::path& path) {
  return doc::parse_json(host::read_file(path, 1 << 20), path.filename().string());
}

/// A config.json with these members (JSON: `"a": 1, "b": 2`) in place of the seed's.
Architecture with(const std::string& members, const std::string& seed = "llama-2-7b") {
  Value config = read_json(tests / "fuzz/seeds/config" / (seed + ".json"));
  const Value changes = doc::parse_json("{" + members + "}", "changes");
  for (const auto& [key, value] : *changes.get_if<Value::Object>()) {
    std::erase_if(*config.get_if<Value::Object>(),
                  [&, name = key](const auto& member) { return member.first == name; });
    config.get_if<Value::Object>()->emplace_back(key, value);
  }
  return parse_architecture(config, "config.json");
}

/// The message without "config.json: ".
std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    const std::string prefix = "config.json: ";
    CHECK(error.message().starts_with(prefix));
    return error.message().substr(prefix.size());
  }
  return "none";
}
std::string refusal_of(const std::string& members, const std::string& seed = "llama-2-7b") {
  return refusal([&] { with(members, seed); });
}

std::string activation_name(Activation activation) {
  return activation == Activation::silu ? "silu" : "gelu_new";
}

std::int64_t whole(const Value& facts, const char* key) {
  return *facts.find(key)->get_if<std::int64_t>();
}

void check_rope(const Rope& rope, const Value& facts) {
  const auto number = [&](const char* key, double absent) {
    const Value* value = facts.find(key);
    if (const auto* integer = value->get_if<std::int64_t>()) return static_cast<double>(*integer);
    return value->get_if<double>() ? *value->get_if<double>() : absent;
  };
  const auto& type = *facts.find("rope_type")->get_if<std::string>();
  CHECK(rope.theta == number("rope_theta", 0));
  if (type == "linear") CHECK(rope.scaling == Rope::Scaling::linear);
  if (type == "llama3") CHECK(rope.scaling == Rope::Scaling::llama3);
  if (type == "default" || type == "dynamic") {
    CHECK(rope == Rope{.theta = rope.theta});
    return;
  }
  CHECK(rope.factor == number("factor", 0));
  CHECK(rope.low_freq_factor == number("low_freq_factor", 1));
  CHECK(rope.high_freq_factor == number("high_freq_factor", 4));
  CHECK(static_cast<double>(rope.original_context) ==
        number("original_max_position_embeddings", 0));
}

TEST_CASE("every family's config.json means what transformers takes it to mean") {
  const Value all = read_json(tests / "vectors/config/facts.json");
  CHECK(all.get_if<Value::Object>()->size() == 16);
  for (const auto& member : *all.get_if<Value::Object>()) {
    const Value& facts = member.second;
    const auto seed = member.first;
    CAPTURE(seed);
    const Architecture a = with("", seed);
    CHECK(name_of(a.family) == *facts.find("family")->get_if<std::string>());
    const std::pair<const char*, std::uint64_t> sizes[] = {
        {"layers", a.layers},         {"width", a.width},       {"heads", a.heads},
        {"kv_heads", a.kv_heads},     {"ff_width", a.ff_width}, {"head_width", a.head_width},
        {"vocabulary", a.vocabulary}, {"context", a.context},   {"window", a.window}};
    for (const auto& size : sizes) {
      CAPTURE(size.first);
      CHECK(static_cast<std::int64_t>(size.second) == whole(facts, size.first));
    }
    CHECK(a.tied == *facts.find("tied")->get_if<bool>());
    CHECK(a.norm_epsilon == static_cast<float>(*facts.find("norm_epsilon")->get_if<double>()));
    const auto& activation = *facts.find("activation")->get_if<std::string>();
    CHECK(activation_name(a.activation) ==
          (activation == "gelu_pytorch_tanh" ? "gelu_new" : activation));
    std::vector<std::uint32_t> eos;
    for (const auto& id : *facts.find("eos")->get_if<Value::Array>())
      eos.push_back(static_cast<std::uint32_t>(*id.get_if<std::int64_t>()));
    CHECK(a.eos == eos);
    CHECK(a.rope.has_value() == (facts.find("rope") != nullptr));
    if (a.rope) check_rope(*a.rope, *facts.find("rope"));
  }
}

TEST_CASE("what is written reads as the same, and transformers has read it") {
  const Value written = read_json(tests / "vectors/config/written.json");
  for (const auto& [seed, expected] : *written.get_if<Value::Object>()) {
    const Architecture a = with("", seed);
    const Value config = to_config(a);
    CHECK(doc::to_json(config) == doc::to_json(expected));
    CHECK(parse_architecture(config, "again") == a);
  }
}

TEST_CASE("families differ in their biases and norms") {
  CHECK_FALSE(with("").qkv_bias);
  const auto biased = with(R"("attention_bias": true, "mlp_bias": true)");
  CHECK((biased.qkv_bias && biased.output_bias && biased.mlp_bias));
  const auto qwen2 = with("", "qwen2.5-0.5b");
  CHECK((qwen2.qkv_bias && !qwen2.output_bias && !qwen2.qk_norm));
  const auto qwen3 = with("", "qwen3-0.6b");
  CHECK((!qwen3.qkv_bias && qwen3.qk_norm && qwen3.query_width() == 2 * qwen3.width));
  const auto gpt2 = with("", "gpt2");
  CHECK((gpt2.qkv_bias && gpt2.output_bias && gpt2.mlp_bias && gpt2.layer_norm && gpt2.conv1d));
  CHECK((!gpt2.gated && !gpt2.rope && gpt2.tied));
}

TEST_CASE("an epsilon is the float nearest to what was written, not to the double") {
  // Above the middle of two floats, and the double nearest to it is that middle: rounded once more
  // it would go to the even float, which is below.
  CHECK(with(R"("rms_norm_eps": 1.0000000202126103e-05)").norm_epsilon == 0x1.4f8b5ap-17F);
  CHECK(with(R"("rms_norm_eps": 1e-5)").norm_epsilon == 1e-5F);
}

TEST_CASE("a window is recorded where some layer has one") {
  CHECK(with(R"("sliding_window": 512)", "mistral-7b-v0.1").window == 512);
  CHECK(with(R"("sliding_window": null)", "mistral-7b-v0.1").window == 0);
  Value silent = to_config(with("", "mistral-7b-v0.1"));
  std::erase_if(*silent.get_if<Value::Object>(),
                [](const auto& member) { return member.first == "sliding_window"; });
  CHECK(parse_architecture(silent, "a Mistral has one unless it says null").window == 4096);
  const Architecture llama = with(R"("sliding_window": 512)");
  CHECK(llama.window == 512);
  CHECK(parse_architecture(to_config(llama), "again") == llama);
  const std::string on = R"("use_sliding_window": true, "sliding_window": 64, )";
  CHECK(with(on + R"("max_window_layers": 23)", "qwen2.5-0.5b").window == 64);
  CHECK(with(on + R"("max_window_layers": 24)", "qwen2.5-0.5b").window == 0);
  CHECK(with(on + R"("layer_types": ["full_attention"])", "qwen2.5-0.5b").window == 0);
  CHECK(with(on + R"("layer_types": ["sliding_attention"])", "qwen2.5-0.5b").window == 64);
}

TEST_CASE("ids outside the vocabulary are left out") {
  const auto a = with(R"("pad_token_id": -1, "eos_token_id": [2, 32000, 5], "bos_token_id": null)");
  CHECK(!a.pad);
  CHECK(!a.bos);
  CHECK(a.eos == std::vector<std::uint32_t>{2, 5});
  CHECK(refusal_of(R"("eos_token_id": ["</s>"])") ==
        "eos_token_id is or has a string, not a whole number");
}

TEST_CASE("sizes are bounded before anything is made of them") {
  CHECK(refusal_of(R"("num_hidden_layers": 1025)") ==
        "num_hidden_layers is 1025, not from 1 to 1024");
  CHECK(refusal_of(R"("hidden_size": 65537)") == "hidden_size is 65537, not from 1 to 65536");
  CHECK(refusal_of(R"("intermediate_size": 0)") == "intermediate_size is 0, not from 1 to 1048576");
  CHECK(refusal_of(R"("vocab_size": 16777217)") ==
        "vocab_size is 16777217, not from 1 to 16777216");
  CHECK(refusal_of(R"("max_position_embeddings": null)") ==
        "max_position_embeddings is null, not a whole number");
  CHECK(refusal_of(R"("rms_norm_eps": 0)") == "rms_norm_eps is 0, not from 1e-30 to 1");
  CHECK(refusal_of(R"("num_key_value_heads": 5)") ==
        "num_key_value_heads is 5, which does not divide the 32 of num_attention_heads");
  CHECK(refusal_of(R"("hidden_size": 4097)") ==
        "num_attention_heads is 32, which does not divide the 4097 of hidden_size");
  CHECK(refusal_of(R"("hidden_size": 96)") ==
        "num_attention_heads makes 32 heads of width 3; the width must be even and at most 4096, "
        "all together at most 1048576");
  CHECK(refusal_of(R"("num_attention_heads": 4096, "head_dim": 258, "num_key_value_heads": 1)")
            .starts_with("num_attention_heads makes 4096 heads of width 258;"));
  CHECK(refusal_of(R"("hidden_size": 65536, "num_attention_heads": 1, "num_key_value_heads": 1)")
            .starts_with("num_attention_heads makes 1 heads of width 65536;"));
  CHECK(refusal_of(R"("head_dim": null)", "qwen3-0.6b") == "head_dim is null, not a whole number");
  CHECK(refusal_of(R"("n_head": 7)", "gpt2") ==
        "n_head is 7, which does not divide the 768 of n_embd");
}

TEST_CASE("what would change the numbers is refused by name") {
  CHECK(refusal_of(R"("model_type": "mixtral")") ==
        R"(model_type is "mixtral", not one of "llama", "mistral", "qwen2", "qwen3", "gpt2")");
  CHECK(
      refusal_of(R"("hidden_act": "gelu")") ==
      R"(hidden_act is "gelu", not one of "silu", "swish", "gelu_new", "gelu_pytorch_tanh", "era")");
  CHECK(
      refusal_of(R"("quantization_config": {"bits": 4})") ==
      "quantization_config is a table, which changes what the model computes and is not supported");
  CHECK(refusal_of(R"("attention_sinks": "yes\u001b")") ==
        "attention_sinks is \"yes\\u001b\", which changes what the model computes and is not "
        "supported");
  for (const std::string member :
       {R"("partial_rotary_factor": 0.5)", R"("final_logit_softcapping": 30.0)",
        R"("num_local_experts": 8)", R"("auto_map": {"AutoConfig": "a.B"})",
        R"("is_causal": false)", R"("logits_scaling": 8.0)", R"("no_rope_layers": [1])"})
    CHECK(refusal_of(member).find(", which changes") != std::string::npos);
  CHECK(refusal_of(R"("scale_attn_weights": false)", "gpt2")
            .starts_with("scale_attn_weights is false, which changes"));
  CHECK(refusal_of(R"("scale_attn_by_inverse_layer_idx": true)", "gpt2").find("changes") !=
        std::string::npos);
  CHECK(refusal_of(R"("layer_types": ["full_attention", "linear_attention"])") ==
        R"(layer_types has "linear_attention", not "full_attention" or "sliding_attention")");
  CHECK(refusal_of(R"("layer_types": [1])") ==
        R"(layer_types has a whole number, not "full_attention" or "sliding_attention")");
  CHECK(refusal_of(R"("layer_types": ["sliding_attention"])") ==
        R"(layer_types has "sliding_attention" without a sliding_window)");
}

TEST_CASE("the same keys with the value that changes nothing are read, and unknown ones too") {
  const auto plain = with("");
  CHECK(with(R"("partial_rotary_factor": 1.0, "num_experts": 0, "logit_scale": 1, "auto_map": {},
                "is_causal": true, "quantization_config": null, "no_rope_layers": [],
                "alibi": false, "a key of tomorrow": {"x": 1}, "attention_dropout": 0.1)") ==
        plain);
}

TEST_CASE("rope is read from the old keys and from the new") {
  const auto a = with(R"("rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2})");
  CHECK(a.rope == Rope{.theta = 5e5, .scaling = Rope::Scaling::linear, .factor = 2});
  CHECK(with(R"("rope_parameters":
                {"rope_type": "linear", "factor": 2.0, "rope_theta": 500000})") == a);
  CHECK(with(R"("rope_parameters": {})").rope == Rope{});
  CHECK(refusal_of(R"("rope_scaling": {"rope_type": "default"}, "rope_parameters": {})") ==
        "rope_parameters is there beside rope_scaling");
  CHECK(refusal_of(R"("rope_theta": 1e4, "rope_parameters": {"rope_theta": 2e4})") ==
        "rope_parameters.rope_theta is another than that of the model");
  CHECK(refusal_of(R"("rope_theta": 1)") == "rope_theta is 1, not from 2 to 1e+12");
}

TEST_CASE("a rope that is not understood to the last key is refused") {
  const auto scaling = [](const std::string& members) {
    return refusal_of(R"("rope_scaling": {)" + members + "}");
  };
  CHECK(scaling(R"("rope_type": "yarn", "factor": 4.0)") ==
        R"(rope_scaling.rope_type is "yarn", not one of "default", "linear", "dynamic", "llama3")");
  CHECK(scaling(R"("type": "longrope")").starts_with("rope_scaling.type is \"longrope\""));
  CHECK(scaling(R"("type": "linear", "rope_type": "dynamic", "factor": 2)") ==
        "rope_scaling.type is another than rope_type");
  CHECK(scaling(R"("type": "linear")") == "rope_scaling.factor is missing");
  CHECK(scaling(R"("type": "linear", "factor": 0.5)") ==
        "rope_scaling.factor is 0.5, not from 1 to 1e+06");
  CHECK(scaling(R"("type": "default", "mrope_section": [1])") ==
        "unknown key \"rope_scaling.mrope_section\"");
  CHECK(scaling(R"("partial_rotary_factor": 0.25)") ==
        "rope_scaling.partial_rotary_factor is 0.25, which changes what the model computes and is "
        "not supported");
  CHECK(scaling(R"("type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
                   "original_max_position_embeddings": 8192)") ==
        "rope_scaling.high_freq_factor is not above low_freq_factor");
  CHECK(scaling(R"("type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4)") ==
        "rope_scaling.original_max_position_embeddings is missing");
}

TEST_CASE("era is for models that volt made: nobody else's config.json may name it") {
  CHECK(refusal_of(R"("hidden_act": "era")") ==
        "hidden_act is \"era\" without era_temperature and era_lambda, which volt writes for a "
        "model that it made from scratch");
  Architecture a = with("");
  a.activation = Activation::era;
  a.era_temperature = 0.7F;
  a.era_lambda = 0.1F;
  CHECK(parse_architecture(to_config(a), "again") == a);
}

TEST_CASE("an architecture that its family cannot have is not written") {
  Architecture a = with("", "mistral-nemo");
  a.qkv_bias = true;
  const auto message = [](const Architecture& bad) -> std::string {
    try {
      to_config(bad);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return error.message();
    }
    return "none";
  };
  CHECK(message(a) == "the model: a mistral cannot be as this one is described");
  a = with("");
  a.layers = 2000;
  CHECK(message(a) == "the model: num_hidden_layers is 2000, not from 1 to 1024");
  a = with("");
  a.rope.reset();
  CHECK(message(a) == "the model: a llama cannot be as this one is described");
}

TEST_CASE("a document that is no table is refused") {
  CHECK(refusal([] { parse_architecture(Value(1), "config.json"); }) ==
        "the document is a whole number, not a table");
  CHECK(refusal([] { parse_architecture(Value(Value::Object{}), "config.json"); }) ==
        "model_type is missing");
}

}  // namespace
}  // namespace volt::lm
