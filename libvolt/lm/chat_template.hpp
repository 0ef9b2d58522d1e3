// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/doc/value.hpp"

namespace volt::lm {

namespace jinja {
struct Program;
}

/// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

/// A conversation as text, and the parts of it that the assistant said: what training predicts.
struct RenderedChat {
  std::string text;
  std::vector<Span> assistant;  ///< in rising order, without overlaps
};

/// Turns a conversation into the text that a model was trained on: the `chat_template` of a
/// model's folder, in the part of Jinja that such templates use, with transformers' settings
/// (trim_blocks, lstrip_blocks). The result depends on nothing but the arguments: strftime_now is
/// undefined to a template that asks, and an error to one that calls it.
class ChatTemplate {
 public:
  /// At most 1 MiB of UTF-8. Throws Error (usage) "origin:line: ..." naming what is not understood.
  static ChatTemplate parse(std::string_view source, std::string_view origin);

  /// What `bos_token` and `eos_token` stand for; undefined where the tokenizer has none.
  struct SpecialTokens {
    std::optional<std::string> bos, eos;
  };
  using Messages = std::span<const doc::Value>;

  /// `messages` are objects with at least "role" and "content"; `tools`, if any, a list. Throws
  /// Error (usage) with the template's line: what it raises itself, an operation that has no
  /// result, more than 10 million steps (100 million for all that one of the following renders),
  /// more than 64 MiB of text.
  std::string render(Messages messages, const SpecialTokens& tokens, bool add_generation_prompt,
                     const doc::Value* tools = nullptr) const;

  /// The whole conversation, with what the assistant said in it: what stands inside the template's
  /// {% generation %} blocks; in a template without any, for each assistant message what it adds to
  /// the messages before it and the prompt for an answer. That needs every such part to begin and
  /// end as the whole does; else throws Error (usage), as Qwen3's template makes it, which thinks
  /// in the last turn only: render_answer() is for those.
  RenderedChat render_marked(Messages messages, const SpecialTokens& tokens,
                             const doc::Value* tools = nullptr) const;

  /// All `messages`, of which those from `first` on (at least 1, less than all) are what the model
  /// is to answer to the ones before.
  RenderedChat render_answer(Messages messages, std::size_t first, const SpecialTokens& tokens,
                             const doc::Value* tools = nullptr) const;

 private:
  ChatTemplate(std::shared_ptr<const jinja::Program> program, std::string origin)
      : program_(std::move(program)), origin_(std::move(origin)) {}
  class Rendering;
  std::shared_ptr<const jinja::Program> program_;
  std::string origin_;
};

}  // namespace volt::lm
