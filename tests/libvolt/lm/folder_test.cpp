// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/folder.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

using tensor::Description;
using tensor::Dtype;
using tensor::Named;

const std::string config = R"({"model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
  "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10, "rms_norm_eps": 1e-5,
  "max_position_embeddings": 16, "tie_word_embeddings": )";
const std::string untied = config + "false}", tied = config + "true}";
const std::string gpt2 = R"({"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2,
  "vocab_size": 10, "n_positions": 16, "layer_norm_epsilon": 1e-5})";

/// A model folder without a disk.
struct Model {
  std::map<std::string, std::string> texts;

  Files files() const {
    Files files;
    for (const auto& [name, text] : texts) files.emplace(name, as_bytes(text));
    return files;
  }
  Architecture architecture() const { return read_architecture(files()); }
  Weights weights() const { return find_weights(files(), architecture()); }
};

/// The bytes of a tensor are its name, over and over.
std::string file_of(std::vector<Named> tensors) {
  std::string file = tensor::safetensors_header(tensors, {{"format", "pt"}});
  for (const auto& [name, description] : tensors)
    for (std::uint64_t i = 0; i < description.bytes(); ++i) file += name[i % name.size()];
  return file;
}

std::vector<Named> tensors_of(const std::string& config_text, Dtype dtype = Dtype::bf16) {
  const Model model{{{"config.json", config_text}}};
  std::vector<Named> tensors;
  for (const auto& parameter : parameters_of(model.architecture()))
    tensors.emplace_back(parameter.name, Description{dtype, parameter.shape});
  return tensors;
}

Model model_of(const std::string& config_text, std::vector<Named> tensors) {
  return {{{"config.json", config_text}, {"model.safetensors", file_of(std::move(tensors))}}};
}
Model model_of(const std::string& config_text) {
  return model_of(config_text, tensors_of(config_text));
}

/// The tensors split over two files with an index.
Model sharded() {
  auto tensors = tensors_of(untied);
  std::string map;
  std::vector<Named> parts[2];
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const bool second = i >= tensors.size() / 2;
    map += (i == 0 ? "\"" : ", \"") + tensors[i].first + "\": \"" + (second ? "b" : "a") +
           ".safetensors\"";
    parts[second].push_back(tensors[i]);
  }
  return {{{"config.json", untied},
           {"model.safetensors.index.json",
            "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {" + map + "}}"},
           {"a.safetensors", file_of(parts[0])},
           {"b.safetensors", file_of(parts[1])}}};
}

/// "message / hint".
std::string refusal(const std::function<void()>& f, Exit code = Exit::usage) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.message() + " / " + error.hint();
  }
  return "none";
}
std::string refusal(const Model& model, Exit code = Exit::usage) {
  return refusal([&] { model.weights(); }, code);
}

Description& named(std::vector<Named>& tensors, const std::string& name) {
  for (auto& [other, description] : tensors)
    if (other == name) return description;
  FAIL("no tensor " << name);
  return tensors.front().second;
}

const std::string save = " / save the model again with save_pretrained of transformers";
const std::string other = " / config.json and the weights are of different models";

TEST_CASE("every parameter is found, with its dtype, its shape and its bytes") {
  const Model model = model_of(untied);
  const auto weights = model.weights();
  CHECK(weights.size() == 1 + 2 * 9 + 2);
  const Weight& key = weights.at({1, Part::key, false});
  CHECK(key.name == "model.layers.1.self_attn.k_proj.weight");
  CHECK(key.description == Description{Dtype::bf16, {8, 8}});
  CHECK(as_text(key.bytes).substr(0, 2 * key.name.size()) == key.name + key.name);
  CHECK(key.bytes.size() == 128);
  CHECK(weights.at({0, Part::head, false}).name == "lm_head.weight");
}

TEST_CASE("dtypes may differ from tensor to tensor") {
  auto tensors = tensors_of(untied, Dtype::f32);
  named(tensors, "model.norm.weight").dtype = Dtype::f16;
  const Model model = model_of(untied, tensors);
  CHECK(model.weights().at({0, Part::final_norm, false}).description.dtype == Dtype::f16);
  named(tensors, "model.norm.weight").dtype = Dtype::f64;
  CHECK(refusal(model_of(untied, tensors)) ==
        "model.safetensors: tensor \"model.norm.weight\" is f64, not f32, bf16 or f16 / save the "
        "model again in bf16, without quantisation");
}

TEST_CASE("a checkpoint of the bare model has no prefix, and perhaps old buffers") {
  auto tensors = tensors_of(gpt2);
  for (auto& [name, description] : tensors) name = name.substr(std::string("transformer.").size());
  tensors.emplace_back("h.0.attn.bias", Description{Dtype::boolean, {1, 1, 16, 16}});
  const Model model = model_of(gpt2, tensors);
  const auto weights = model.weights();
  CHECK(weights.size() == 2 + 12 + 2);
  CHECK(weights.at({0, Part::qkv, true}).name == "h.0.attn.c_attn.bias");

  tensors = tensors_of(tied);
  for (auto& [name, description] : tensors) name = name.substr(std::string("model.").size());
  CHECK(model_of(tied, tensors).weights().size() == 1 + 2 * 9 + 1);
}

TEST_CASE("a tied head may lie there all the same, if it is the same") {
  auto tensors = tensors_of(tied);
  tensors.emplace_back("lm_head.weight", named(tensors, "model.embed_tokens.weight"));
  CHECK(refusal(model_of(tied, tensors)) ==
        "model.safetensors: tensor \"lm_head.weight\" is another than "
        "\"model.embed_tokens.weight\", but config.json says that they are tied / set "
        "tie_word_embeddings to false in config.json if the head was trained on its own");
  Model model = model_of(tied, tensors);
  auto& file = model.texts["model.safetensors"];
  for (auto& [name, located] : tensor::parse_safetensors(as_bytes(file), "m"))
    if (name == "lm_head.weight" || name == "model.embed_tokens.weight")
      file.replace(located.offset, 160, 160, 'w');
  CHECK(!model.weights().contains({0, Part::head, false}));
}

TEST_CASE("what is missing is named, and so is what is too much") {
  auto tensors = tensors_of(untied);
  std::erase_if(tensors,
                [](const Named& one) { return one.first.find("mlp.up") != one.first.npos; });
  CHECK(refusal(model_of(untied, tensors)) ==
        "model.safetensors lacks the tensor \"model.layers.0.mlp.up_proj.weight\" and 1 more / "
        "config.json and the weights are of different models, or a part was left out");
  CHECK(refusal(model_of(untied, tensors_of(tied))) ==
        "model.safetensors lacks the tensor \"lm_head.weight\" / config.json says that the head is "
        "not tied to the embedding: tie_word_embeddings");
  tensors = tensors_of(untied);
  tensors.emplace_back("model.layers.0.self_attn.q_proj.bias", Description{Dtype::bf16, {8}});
  CHECK(refusal(model_of(untied, tensors)) ==
        "model.safetensors has the tensor \"model.layers.0.self_attn.q_proj.bias\", of which the "
        "llama that config.json describes has no use" +
            other);
}

TEST_CASE("a shape that contradicts config.json is refused with both") {
  auto tensors = tensors_of(untied);
  named(tensors, "model.layers.1.mlp.down_proj.weight").shape = {12, 8};
  CHECK(refusal(model_of(untied, tensors)) ==
        "config.json says that model.layers.1.mlp.down_proj.weight is [8, 12], but "
        "model.safetensors has [12, 8]" +
            other);
}

TEST_CASE("shards are found through the index") {
  Model model = sharded();
  CHECK(model.weights().at({1, Part::down, false}).file == "b.safetensors");
  model.texts["model.safetensors"] = model_of(untied).texts["model.safetensors"];
  CHECK(model.weights().at({1, Part::down, false}).file == "model.safetensors");
}

TEST_CASE("shards that contradict the index, or each other, are refused") {
  Model model = sharded();
  auto& index = model.texts["model.safetensors.index.json"];
  const auto whole = index;
  index.replace(index.find("a.safetensors"), 1, "b");
  CHECK(refusal(model) ==
        "model.safetensors.index.json: the tensor \"model.embed_tokens.weight\" is not in "
        "b.safetensors" +
            save);
  index = whole;
  model.texts["b.safetensors"] = model.texts["a.safetensors"];
  CHECK(refusal(model).find("\" is in a.safetensors and in b.safetensors" + save) !=
        std::string::npos);
  model.texts.erase("b.safetensors");
  CHECK(refusal(model, Exit::not_found) == "the model has no file b.safetensors" + save);
}

TEST_CASE("a model without its files is not found") {
  CHECK(refusal(Model{}, Exit::not_found) == "the model has no file config.json" + save);
  CHECK(refusal(Model{{{"config.json", untied}}}, Exit::not_found) ==
        "the model has no file model.safetensors" + save);
}

TEST_CASE("an index names plain files of its folder and nothing else") {
  const auto parse = [](const std::string& weight_map) {
    return refusal([&] { parse_index("{\"weight_map\": " + weight_map + "}", "i.json"); });
  };
  CHECK(parse_index(R"({"weight_map": {"w": "a.safetensors"}})", "i") ==
        std::map<std::string, std::string>{{"w", "a.safetensors"}});
  for (const std::string bad : {"../a.safetensors", "/a.safetensors", "x/a.safetensors",
                                ".safetensors", "a.bin", "", "a\\u0000.safetensors"})
    CHECK(parse("{\"w\": \"" + bad + "\"}").find("not the name of a .safetensors file beside it") !=
          std::string::npos);
  CHECK(parse(R"({"w": 1})") ==
        "i.json: weight_map has a whole number for \"w\", not the name of a .safetensors file "
        "beside it / ");
  CHECK(parse("[]") == "i.json: weight_map is a list, not a table / ");
  CHECK(parse("{}") == "i.json: weight_map is empty / ");
  std::string many;
  for (int i = 0; i <= 4096; ++i) {
    const auto number = std::to_string(i);
    many += (i == 0 ? "\"" : ",\"") + number + "\":\"" + number + ".safetensors\"";
  }
  CHECK(parse("{" + many + "}") ==
        "i.json: weight_map has more than 131072 tensors or 4096 files / ");
}

TEST_CASE("tensors without end are refused") {
  std::vector<Named> tensors;
  for (int i = 0; i <= 131072; ++i)
    tensors.emplace_back(std::to_string(i), Description{Dtype::u8, {0}});
  CHECK(refusal(model_of(untied, tensors)) ==
        "model.safetensors: the model has more than 131072 tensors" + save);
}

TEST_CASE("a folder on the disk is mapped: whole, or by its shards") {
  const host::TemporaryFolder place(std::filesystem::temp_directory_path());
  const auto& path = place.path();
  CHECK(refusal([&] { Folder f(path); }, Exit::not_found) ==
        host::shown(path) + " has no config.json / name the folder of a model");
  Model model = sharded();
  host::write_file(path / "config.json", untied);
  CHECK(refusal([&] { Folder f(path); }, Exit::not_found) ==
        host::shown(path) + " has neither model.safetensors nor model.safetensors.index.json" +
            save);
  for (const auto& [name, text] : model.texts) host::write_file(path / name, text);
  host::write_file(path / "consolidated.safetensors", "no part of it");
  CHECK(model_files(path) == std::vector<std::string>{"config.json", "model.safetensors.index.json",
                                                      "a.safetensors", "b.safetensors"});
  const Folder folder(path);
  const Files files = folder.files();
  CHECK(find_weights(files, read_architecture(files)).size() == model.weights().size());
  CHECK(as_text(files.at("b.safetensors")) == model.texts["b.safetensors"]);
  host::write_file(path / "model.safetensors", model_of(untied).texts["model.safetensors"]);
  CHECK(model_files(path) == std::vector<std::string>{"config.json", "model.safetensors"});
}

TEST_CASE("a weight that is not finite is named with its first such element") {
  const std::string bytes{"\x00\x00\x80\x3f\x00\x00\x80\x7f\x00\x00\xc0\x7f", 12};
  Weight weight{"w", "model.safetensors", {Dtype::f32, {3}}, as_bytes(bytes)};
  CHECK(refusal([&] { refuse_non_finite(weight); }) ==
        "model.safetensors: tensor \"w\" is not finite at element 1 / the weights were damaged, or "
        "their training diverged");
  weight.bytes = weight.bytes.first(4);
  CHECK(refusal([&] { refuse_non_finite(weight); }) == "none");
}

}  // namespace
}  // namespace volt::lm
