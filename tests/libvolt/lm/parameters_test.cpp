// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/parameters.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

namespace volt::lm {
namespace {

using Shape = std::vector<std::uint64_t>;

Architecture small(Family family) {
  Architecture a;
  a.family = family;
  a.layers = 2;
  a.width = 8;
  a.heads = 4;
  a.kv_heads = 2;
  a.head_width = 6;
  a.ff_width = 20;
  a.vocabulary = 50;
  a.context = 16;
  return a;
}

std::map<std::string, Shape> shapes_of(const Architecture& a) {
  std::map<std::string, Shape> shapes;
  for (const auto& parameter : parameters_of(a)) shapes.emplace(parameter.name, parameter.shape);
  return shapes;
}

TEST_CASE("a llama has nine parameters a layer, of shapes [out, in]") {
  const auto shapes = shapes_of(small(Family::llama));
  CHECK(shapes.size() == 1 + 2 * 9 + 2);
  CHECK(shapes.at("model.embed_tokens.weight") == Shape{50, 8});
  CHECK(shapes.at("model.layers.0.input_layernorm.weight") == Shape{8});
  CHECK(shapes.at("model.layers.0.self_attn.q_proj.weight") == Shape{24, 8});
  CHECK(shapes.at("model.layers.0.self_attn.k_proj.weight") == Shape{12, 8});
  CHECK(shapes.at("model.layers.0.self_attn.v_proj.weight") == Shape{12, 8});
  CHECK(shapes.at("model.layers.0.self_attn.o_proj.weight") == Shape{8, 24});
  CHECK(shapes.at("model.layers.1.post_attention_layernorm.weight") == Shape{8});
  CHECK(shapes.at("model.layers.1.mlp.gate_proj.weight") == Shape{20, 8});
  CHECK(shapes.at("model.layers.1.mlp.up_proj.weight") == Shape{20, 8});
  CHECK(shapes.at("model.layers.1.mlp.down_proj.weight") == Shape{8, 20});
  CHECK(shapes.at("model.norm.weight") == Shape{8});
  CHECK(shapes.at("lm_head.weight") == Shape{50, 8});
}

TEST_CASE("biases, norms of heads and the head come and go with the architecture") {
  auto a = small(Family::qwen2);
  a.qkv_bias = a.tied = true;
  auto shapes = shapes_of(a);
  CHECK(shapes.size() == 1 + 2 * (9 + 3) + 1);
  CHECK(shapes.at("model.layers.1.self_attn.k_proj.bias") == Shape{12});
  CHECK(!shapes.contains("lm_head.weight"));

  a = small(Family::qwen3);
  a.qk_norm = true;
  shapes = shapes_of(a);
  CHECK(shapes.at("model.layers.0.self_attn.q_norm.weight") == Shape{6});
  CHECK(shapes.at("model.layers.0.self_attn.k_norm.weight") == Shape{6});

  a = small(Family::llama);
  a.qkv_bias = a.output_bias = a.mlp_bias = true;
  shapes = shapes_of(a);
  CHECK(shapes.at("model.layers.0.self_attn.o_proj.bias") == Shape{8});
  CHECK(shapes.at("model.layers.0.mlp.up_proj.bias") == Shape{20});
  CHECK(shapes.at("model.layers.0.mlp.down_proj.bias") == Shape{8});
}

TEST_CASE("a gpt2 stores its matrices [in, out], and query, key and value as one") {
  auto a = small(Family::gpt2);
  a.head_width = 2;
  a.kv_heads = a.heads;
  a.layer_norm = a.conv1d = a.qkv_bias = a.output_bias = a.mlp_bias = a.tied = true;
  const auto shapes = shapes_of(a);
  CHECK(shapes.size() == 2 + 2 * 12 + 2);
  CHECK(shapes.at("transformer.wte.weight") == Shape{50, 8});
  CHECK(shapes.at("transformer.wpe.weight") == Shape{16, 8});
  CHECK(shapes.at("transformer.h.0.ln_1.bias") == Shape{8});
  CHECK(shapes.at("transformer.h.1.attn.c_attn.weight") == Shape{8, 24});
  CHECK(shapes.at("transformer.h.1.attn.c_attn.bias") == Shape{24});
  CHECK(shapes.at("transformer.h.1.attn.c_proj.weight") == Shape{8, 8});
  CHECK(shapes.at("transformer.h.1.mlp.c_fc.weight") == Shape{8, 20});
  CHECK(shapes.at("transformer.h.1.mlp.c_fc.bias") == Shape{20});
  CHECK(shapes.at("transformer.h.1.mlp.c_proj.weight") == Shape{20, 8});
  CHECK(shapes.at("transformer.h.1.mlp.c_proj.bias") == Shape{8});
  CHECK(shapes.at("transformer.ln_f.bias") == Shape{8});
}

TEST_CASE("every parameter has a slot of its own, and they come in the order of use") {
  for (const Family family : {Family::llama, Family::gpt2}) {
    auto a = small(family);
    a.qkv_bias = a.output_bias = a.mlp_bias = a.layer_norm = true;
    std::set<Slot> slots;
    const auto parameters = parameters_of(a);
    for (const auto& parameter : parameters) CHECK(slots.insert(parameter.slot).second);
    CHECK(parameters.front().slot.part == Part::token_embedding);
    CHECK(parameters.back().slot.part == Part::head);
    for (std::size_t i = 1; i < parameters.size(); ++i)
      if (parameters[i].slot.layer == parameters[i - 1].slot.layer)
        CHECK(parameters[i - 1].slot < parameters[i].slot);
  }
}

TEST_CASE("buffers are told by their ends") {
  CHECK(is_buffer(Family::llama, "model.layers.3.self_attn.rotary_emb.inv_freq"));
  CHECK(is_buffer(Family::gpt2, "h.3.attn.bias"));
  CHECK(is_buffer(Family::gpt2, "transformer.h.3.attn.masked_bias"));
  CHECK_FALSE(is_buffer(Family::gpt2, "h.3.attn.c_attn.bias"));
  CHECK_FALSE(is_buffer(Family::llama, "h.3.attn.bias"));
}

}  // namespace
}  // namespace volt::lm
