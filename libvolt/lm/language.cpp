// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/language.hpp"

#include <algorithm>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::lm {
namespace {

using doc::Value;

constexpr doc::Limits config_limits{std::size_t{4} << 20, 32, true};

Tokenizer read_tokenizer(const Files& files) {
  const auto file = files.find(std::string(tokenizer_file));
  if (file == files.end()) {
    throw Error(Exit::not_found, "the model's folder has no tokenizer.json",
                "older checkpoints have a tokenizer.model alone: load and save it once with "
                "transformers' AutoTokenizer");
  }
  return parse_tokenizer(doc::parse_json(as_text(file->second), tokenizer_file, tokenizer_limits),
                         tokenizer_file);
}

/// A token of tokenizer_config.json: its text, or a table that has it as "content".
std::optional<std::string> token_text(const Value& config, std::string_view key) {
  const Value* value = config.find(key);
  if (value != nullptr && value->get_if<Value::Object>() != nullptr) value = value->find("content");
  const auto* text = value == nullptr ? nullptr : value->get_if<std::string>();
  return text == nullptr ? std::nullopt : std::optional(*text);
}

/// The template of tokenizer_config.json: a text, or of several by name the one called "default".
const std::string* template_in(const Value& config) {
  const Value* value = config.find("chat_template");
  if (value == nullptr) return nullptr;
  if (const auto* several = value->get_if<Value::Array>()) {
    for (const auto& one : *several) {
      const Value* name = one.find("name");
      const auto* text = name == nullptr ? nullptr : name->get_if<std::string>();
      if (text == nullptr || *text != "default") continue;
      const Value* source = one.find("template");
      return source == nullptr ? nullptr : source->get_if<std::string>();
    }
  }
  return value->get_if<std::string>();
}

}  // namespace

std::string tokenizer_config(const Files& files) {
  const auto config = files.find(std::string(tokenizer_config_file));
  const std::string text(config == files.end() ? "{}\n" : as_text(config->second));
  const auto chat = files.find(std::string(chat_template_file));
  if (chat == files.end()) return text;
  Value value = doc::parse_json(text, tokenizer_config_file, config_limits);
  auto* members = value.get_if<Value::Object>();
  if (members == nullptr) return text;
  std::erase_if(*members, [](const auto& member) { return member.first == "chat_template"; });
  members->emplace_back("chat_template", as_text(chat->second));
  return doc::to_json(value) + "\n";
}

Language::Language(const Files& files, const Architecture& architecture)
    : tokenizer_(read_tokenizer(files)) {
  if (tokenizer_.vocabulary_size() > architecture.vocabulary) {
    throw Error(Exit::usage, "tokenizer.json has " + std::to_string(tokenizer_.vocabulary_size()) +
                                 " tokens, but the model " +
                                 std::to_string(architecture.vocabulary));
  }
  // What the tokenizer itself puts before a text is its BOS, whatever else is said.
  adds_bos_ = !tokenizer_.before().empty();
  bos_ = adds_bos_ ? tokenizer_.before().front() : architecture.bos;
  eos_ = architecture.eos;
  read_config(files);
  if (const auto file = files.find(std::string(chat_template_file)); file != files.end()) {
    chat_ = ChatTemplate::parse(as_text(file->second), chat_template_file);
  }
}

void Language::read_config(const Files& files) {
  const auto file = files.find(std::string(tokenizer_config_file));
  if (file == files.end()) return;
  const Value config = doc::parse_json(as_text(file->second), tokenizer_config_file, config_limits);
  special_.bos = token_text(config, "bos_token");
  special_.eos = token_text(config, "eos_token");
  // Chats end with the tokenizer's EOS, which need not be one of config.json's; it comes first.
  if (special_.eos) {
    if (const auto id = tokenizer_.id_of(*special_.eos)) {
      std::erase(eos_, *id);
      eos_.insert(eos_.begin(), *id);
    }
  }
  if (const std::string* source = template_in(config)) {
    chat_ = ChatTemplate::parse(*source, tokenizer_config_file);
  }
}

TextEncoder Language::encoder() const {
  TextEncoder encoder;
  encoder.encode = [this](std::string_view text, bool continues) {
    return tokenizer_.encode(text, false, Tokenizer::Special::token, continues);
  };
  encoder.bos = bos_;
  encoder.adds_bos = adds_bos_;
  encoder.eos = eos_;
  return encoder;
}

}  // namespace volt::lm
