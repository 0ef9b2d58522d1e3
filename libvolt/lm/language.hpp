// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "libvolt/lm/architecture.hpp"
#include "libvolt/lm/chat_template.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/token_samples.hpp"
#include "libvolt/lm/tokenizer.hpp"

namespace volt::lm {

/// How a model's folder has text become tokens: tokenizer.json, and what tokenizer_config.json and
/// chat_template.jinja say beside it.
class Language {
 public:
  /// Throws Error: not_found (no tokenizer.json), usage (one that volt does not read, or with more
  /// tokens than the model has).
  Language(const Files& files, const Architecture& architecture);

  const Tokenizer& tokenizer() const { return tokenizer_; }
  /// Null when the folder has none.
  const ChatTemplate* chat_template() const { return chat_ ? &*chat_ : nullptr; }
  const ChatTemplate::SpecialTokens& special_tokens() const { return special_; }
  /// Valid while this is.
  TextEncoder encoder() const;

 private:
  void read_config(const Files& files);

  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  ChatTemplate::SpecialTokens special_;
  std::optional<TokenId> bos_;
  bool adds_bos_ = false;
  std::vector<TokenId> eos_;
};

/// The tokenizer_config.json of a folder, with the chat template that lies beside it put in:
/// every version of transformers finds it there.
std::string tokenizer_config(const Files& files);

/// Files of a model's folder beside its weights that Language reads.
inline constexpr std::string_view tokenizer_file = "tokenizer.json",
                                  tokenizer_config_file = "tokenizer_config.json",
                                  chat_template_file = "chat_template.jinja";

}  // namespace volt::lm
