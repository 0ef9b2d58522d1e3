// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/new_model.hpp"

#include "libvolt/doc/read.hpp"
#include "libvolt/lm/language.hpp"

namespace volt::lm {
namespace {

using doc::Value;

constexpr const char* config_file = "config.json";

/// As transformers reads it.
Value bytes_tokenizer_config() {
  return Value::Object{{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"bos_token", "<bos>"},
                       {"eos_token", "<eos>"},
                       {"clean_up_tokenization_spaces", false}};
}

}  // namespace

NewModel::NewModel(Architecture a, const Files& tokenizer) {
  for (const auto name : {tokenizer_file, tokenizer_config_file, chat_template_file}) {
    if (const auto file = tokenizer.find(std::string(name)); file != tokenizer.end()) {
      tokenizer_.insert(*file);
    }
  }
  if (tokenizer.empty()) {
    made_.emplace(tokenizer_file, doc::to_json(bytes_tokenizer_json()) + "\n");
    made_.emplace(tokenizer_config_file, doc::to_json(bytes_tokenizer_config()) + "\n");
  }
  a.vocabulary = max_vocabulary;
  const Language language(files(), a);
  a.vocabulary = language.tokenizer().vocabulary_size();
  const TextEncoder encoder = language.encoder();
  a.bos = encoder.bos;
  a.eos.assign(encoder.eos.begin(), encoder.eos.end());
  made_.emplace(config_file, doc::to_json(to_config(a)) + "\n");
}

Files NewModel::files() const {
  Files files = tokenizer_;
  for (const auto& [name, text] : made_) files.emplace(name, as_bytes(text));
  return files;
}

}  // namespace volt::lm
