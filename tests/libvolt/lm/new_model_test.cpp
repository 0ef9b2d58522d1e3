// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/new_model.hpp"

#include <doctest/doctest.h>

#include "libvolt/lm/language.hpp"
#include "tests/libvolt/doc/message.hpp"

namespace volt::lm {
namespace {

Architecture small(Activation activation = Activation::silu) {
  Architecture a;
  a.layers = 2;
  a.width = 64;
  a.heads = a.kv_heads = 4;
  a.head_width = 16;
  a.ff_width = 96;
  a.context = 32;
  a.norm_epsilon = 1e-5F;
  a.rope.emplace();
  a.tied = true;
  a.activation = activation;
  if (activation == Activation::era) a.era_lambda = 0.5F;
  return a;
}

}  // namespace

TEST_CASE("a new model without a tokenizer reads bytes, and its folder is read like any other") {
  for (const auto activation : {Activation::silu, Activation::gelu_tanh, Activation::era}) {
    const NewModel model(small(activation), {});
    const auto files = model.files();
    auto expected = small(activation);
    expected.vocabulary = 258;
    expected.bos = 256;
    expected.eos = {257};
    const auto architecture = read_architecture(files);
    CHECK(architecture == expected);
    const Language language(files, architecture);
    const auto encoder = language.encoder();
    CHECK(encoder.encode("hé", false) == std::vector<TokenId>{'h', 0xc3, 0xa9});
    CHECK(encoder.adds_bos);
  }
}

TEST_CASE("a new model takes the tokenizer that it is given, its size and its EOS") {
  const std::string tokenizer = doc::to_json(bytes_tokenizer_json());
  const std::string config = R"({"eos_token": "<bos>"})", template_text = "{{ eos_token }}";
  const std::string weights = "weights of another model";
  Files given{{"tokenizer.json", as_bytes(tokenizer)},
              {"tokenizer_config.json", as_bytes(config)},
              {"chat_template.jinja", as_bytes(template_text)},
              {"config.json", as_bytes(weights)},
              {"model.safetensors", as_bytes(weights)}};
  const NewModel model(small(), given);
  const auto files = model.files();
  CHECK(files.count("model.safetensors") == 0);
  const auto architecture = read_architecture(files);
  CHECK(architecture.vocabulary == 258);
  CHECK(architecture.eos == std::vector<std::uint32_t>{256});
  CHECK(tokenizer_config(files) ==
        "{\n  \"eos_token\": \"<bos>\",\n  \"chat_template\": \"{{ eos_token }}\"\n}\n");

  given.erase("tokenizer.json");
  CHECK(message_of([&] {
          NewModel(small(), given);
        }).starts_with("the model's folder has no tokenizer.json"));
}

TEST_CASE("a new model that config.json cannot describe is refused") {
  auto odd = small();
  odd.layers = 0;
  CHECK(message_of([&] { NewModel(odd, {}); }) != "nothing thrown");
}

}  // namespace volt::lm
