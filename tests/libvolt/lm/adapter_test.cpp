// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/adapter.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>

#include "kernels/exact.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

using tensor::Dtype;
using Role = TrainedTensor::Role;

Architecture small(Family family = Family::llama) {
  const bool gpt2 = family == Family::gpt2;
  const std::string text =
      gpt2 ? R"({"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "vocab_size": 10,
                 "n_positions": 16, "layer_norm_epsilon": 1e-5})"
           : R"({"model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
                 "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10,
                 "rms_norm_eps": 1e-5, "max_position_embeddings": 16})";
  return parse_architecture(doc::parse_json(text, "config.json"), "config.json");
}

/// An adapter without a disk: members of its configuration, and tensors of one number each.
struct Stored {
  std::map<std::string, std::string> config{{"peft_type", "\"LORA\""},
                                            {"r", "2"},
                                            {"lora_alpha", "8"},
                                            {"bias", "\"none\""},
                                            {"target_modules", "[\"q_proj\"]"},
                                            {"use_dora", "false"},
                                            {"rank_pattern", "{}"},
                                            {"modules_to_save", "null"}};
  struct Tensor {
    std::vector<std::uint64_t> shape;
    float value = 0.5F;
    Dtype dtype = Dtype::f32;
  };
  std::map<std::string, Tensor> tensors;
  std::string text, file;

  /// Views of what it then holds.
  Files files() {
    text.clear();
    for (const auto& [key, value] : config) {
      text += (text.empty() ? "{\"" : ", \"") + key + "\": " + value;
    }
    text += "}";
    std::vector<tensor::Named> named;
    for (const auto& [name, tensor] : tensors)
      named.push_back({name, {tensor.dtype, tensor.shape}});
    file = tensor::safetensors_header(named);
    for (const auto& [name, description] : named) {
      const float value = tensors.at(name).value;
      std::uint16_t half = 0;
      if (description.dtype == Dtype::bf16) half = kernels::to_bf16(value);
      if (description.dtype == Dtype::f16) half = kernels::to_fp16(value);
      for (std::uint64_t i = 0; i < description.elements(); ++i) {
        if (description.dtype == Dtype::f32) {
          file.append(reinterpret_cast<const char*>(&value), 4);
        } else {
          file.append(reinterpret_cast<const char*>(&half), tensor::size_of(description.dtype));
        }
      }
    }
    return {{"adapter_config.json", as_bytes(text)}, {"adapter_model.safetensors", as_bytes(file)}};
  }
};

const std::string query = "base_model.model.model.layers.1.self_attn.q_proj.";

Stored of_query(const std::string& module = query, const std::string& end = ".weight") {
  Stored stored;
  stored.tensors[module + "lora_A" + end] = {{2, 8}, 0.5F};
  stored.tensors[module + "lora_B" + end] = {{8, 2}, -2.0F};
  return stored;
}

Stored of_flylora() {
  Stored stored = of_query();
  stored.config = {
      {"peft_type", "\"FLYLORA\""}, {"r", "2"},          {"k", "1"},
      {"lora_alpha", "8"},          {"balance", "0.25"}, {"task_type", "\"CAUSAL_LM\""}};
  stored.tensors[query + "lora_d.weight"] = {{1, 2}, 0.125F};
  return stored;
}

}  // namespace

TEST_CASE("what volt writes it reads again") {
  for (const bool fly : {false, true}) {
    for (const Family family : {Family::llama, Family::gpt2}) {
      CAPTURE(fly);
      const auto architecture = small(family);
      Lora lora{4, 6, {}};
      if (fly) lora.fly = FlyLora{3, 0.5F};
      device::Device device(device::wanted("cpu", 1));
      Trained trained(device, lora_tensors(architecture, lora), lora.fly);
      initialise(device, architecture, 7, trained);
      const std::string config =
          doc::to_json(adapter_config(architecture, lora, 0.1, "models/tiny"));
      const Bytes file = adapter_file(architecture, trained);
      const Files files{{"adapter_config.json", as_bytes(config)},
                        {"adapter_model.safetensors", file}};
      const auto adapter = read_adapter(files, architecture);
      CHECK(adapter.lora.rank == 4);
      CHECK(adapter.lora.alpha == 6);
      CHECK(adapter.scale == lora.scale());
      CHECK(adapter.lora.fly.has_value() == fly);
      if (fly) {
        CHECK(adapter.lora.fly->active == 3);
        CHECK(adapter.lora.fly->balance == 0.5F);
      }
      const Trained again = make_trained(device, adapter);
      REQUIRE(again.tensors().size() == trained.tensors().size());
      for (std::size_t i = 0; i < trained.tensors().size(); ++i) {
        const auto &wrote = trained.tensors()[i], &read = again.tensors()[i];
        CHECK(wrote.slot == read.slot);
        CHECK(wrote.role == read.role);
        CHECK(trained.get(wrote) == again.get(read));
      }
    }
  }
}

TEST_CASE("names may be shorter than PEFT's, or name the adapter") {
  for (const std::string module :
       {"base_model.model.model.layers.1.self_attn.q_proj.", "model.layers.1.self_attn.q_proj.",
        "layers.1.self_attn.q_proj.", "base_model.model.layers.1.self_attn.q_proj."}) {
    for (const std::string end : {".weight", ".default.weight"}) {
      auto stored = of_query(module, end);
      const auto adapter = read_adapter(stored.files(), small());
      REQUIRE(adapter.tensors.size() == 2);
      CHECK(adapter.tensors[0].slot == Slot{1, Part::query, false});
      CHECK(adapter.tensors[0].role == Role::lora_a);
      CHECK(adapter.tensors[1].role == Role::lora_b);
      CHECK(floats(adapter.weights[0]) == std::vector<float>(16, 0.5F));
      CHECK(floats(adapter.weights[1]) == std::vector<float>(16, -2.0F));
      CHECK(adapter.lora.targets == std::vector<Part>{Part::query});
      CHECK(adapter.scale == 4);
    }
  }
}

TEST_CASE("16-bit tensors are read as what they are, and rsLoRA divides by the root of the rank") {
  auto stored = of_query();
  stored.tensors[query + "lora_A.weight"].dtype = Dtype::bf16;
  stored.tensors[query + "lora_B.weight"].dtype = Dtype::f16;
  stored.config["use_rslora"] = "true";
  const auto adapter = read_adapter(stored.files(), small());
  CHECK(floats(adapter.weights[0]) == std::vector<float>(16, 0.5F));
  CHECK(floats(adapter.weights[1]) == std::vector<float>(16, -2.0F));
  CHECK(adapter.scale == 8 / std::sqrt(2.0F));
}

TEST_CASE("what is not understood is refused by name") {
  struct Case {
    const char* says;
    std::function<void(Stored&)> change;
  };
  const auto config = [](const char* key, const char* value) {
    return [=](Stored& stored) { stored.config[key] = value; };
  };
  const auto a = query + "lora_A.weight", b = query + "lora_B.weight";
  const std::vector<Case> cases{
      {"peft_type is \"IA3\", not one of", config("peft_type", "\"IA3\"")},
      {"r is 0", config("r", "0")},
      {"lora_alpha is", config("lora_alpha", "0")},
      {"use_dora is not known here, and not off", config("use_dora", "true")},
      {"use_rslora is", config("use_rslora", "1")},
      {"bias is not \"none\"", config("bias", "\"all\"")},
      {"modules_to_save is not known here", config("modules_to_save", "[\"lm_head\"]")},
      {"rank_pattern is not known here", config("rank_pattern", "{\"q_proj\": 4}")},
      {"alpha_pattern is not known here", config("alpha_pattern", "{\"q_proj\": 4}")},
      {"layer_replication is not known here", config("layer_replication", "[[0, 1]]")},
      {"new_thing is not known here", config("new_thing", "0.5")},
      {"k is not known here", config("k", "1")},
      {"init_lora_weights is \"pissa\", which may have changed the base",
       config("init_lora_weights", "\"pissa\"")},
      {"init_lora_weights is a whole number, which", config("init_lora_weights", "1")},
      {"lacks the tensor \"model.layers.1.self_attn.q_proj.lora_B.weight\"",
       [=](Stored& stored) { stored.tensors.erase(b); }},
      {"adapts no matrix", [](Stored& stored) { stored.tensors.clear(); }},
      {"is f32 [8, 2], but r and the model make it [2, 8]",
       [=](Stored& stored) {
         stored.tensors[a].shape = {8, 2};
       }},
      {"is f32 [16], but r and the model make it [2, 8]",
       [=](Stored& stored) { stored.tensors[a].shape = {16}; }},
      {"is f32 [2, 8], but r and the model make it [4, 8]", config("r", "4")},
      {"is i16, not f32, bf16 or f16",
       [=](Stored& stored) { stored.tensors[a].dtype = Dtype::i16; }},
      {"is not finite at element 0", [=](Stored& stored) { stored.tensors[b].value = INFINITY; }},
      {"q_proj.lora_A\" is there as \"base_model.model.model.layers.1.self_attn.q_proj",
       [=](Stored& stored) {
         stored.tensors["model.layers.1.self_attn.q_proj.lora_A"] = {{2, 8}};
       }},
      {"tensor \"base_model.model.lm_head.lora_A.weight\" belongs to no matrix",
       [](Stored& stored) {
         stored.tensors["base_model.model.lm_head.lora_A.weight"] = {{2, 8}};
       }},
      {"q_proj.lora_d.weight\" belongs to no matrix",
       [](Stored& stored) {
         stored.tensors[query + "lora_d.weight"] = {{1, 2}};
       }},
  };
  for (const auto& [says, change] : cases) {
    CAPTURE(std::string(says));
    auto stored = of_query();
    change(stored);
    try {
      read_adapter(stored.files(), small());
      FAIL("was not refused");
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      CAPTURE(error.message());
      CHECK(error.message().find(says) != std::string::npos);
    }
  }
  auto stored = of_query();
  Files files = stored.files();
  files.erase("adapter_model.safetensors");
  CHECK_THROWS_WITH_AS(read_adapter(files, small()),
                       "the adapter has no file adapter_model.safetensors", Error);
  CHECK_THROWS_WITH_AS(read_adapter({}, small()), "the adapter has no file adapter_config.json",
                       Error);
}

TEST_CASE("FlyLoRA's own members and its d must be there") {
  auto good = of_flylora();
  const auto adapter = read_adapter(good.files(), small());
  CHECK(adapter.lora.fly->active == 1);
  CHECK(adapter.lora.fly->balance == 0.25F);
  REQUIRE(adapter.tensors.size() == 3);
  CHECK(adapter.tensors[2].role == Role::fly_d);
  CHECK(floats(adapter.weights[2]) == std::vector<float>(2, 0.125F));
  const auto refused = [](const char* says, Stored stored) {
    CAPTURE(std::string(says));
    try {
      read_adapter(stored.files(), small());
      FAIL("was not refused");
    } catch (const Error& error) {
      CAPTURE(error.message());
      CHECK(error.message().find(says) != std::string::npos);
    }
  };
  auto more = of_flylora(), without = of_flylora(), rank = of_flylora();
  more.config["k"] = "3";
  refused("k is 3", more);
  without.tensors.erase(query + "lora_d.weight");
  refused("lacks the tensor \"model.layers.1.self_attn.q_proj.lora_d.weight\"", without);
  rank.config["use_rslora"] = "true";
  refused("use_rslora is not known here", rank);
}

}  // namespace volt::lm
