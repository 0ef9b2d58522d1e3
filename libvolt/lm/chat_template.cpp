// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/chat_template.hpp"

#include <algorithm>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/jinja_interpreter.hpp"
#include "libvolt/lm/jinja_syntax.hpp"

namespace volt::lm {
namespace {

using jinja::Interpreter;
using jinja::Value;

constexpr std::uint64_t steps_of_a_text = 10'000'000;
/// A conversation is rendered twice an answer; the longer it is, the longer each takes.
constexpr std::uint64_t steps_of_a_conversation = 100'000'000;

bool is_assistant(const doc::Value& message) {
  const auto* role = message.find("role");
  const auto* name = role == nullptr ? nullptr : role->get_if<std::string>();
  return name != nullptr && *name == "assistant";
}

}  // namespace

/// One conversation, converted once and rendered as often as needed.
class ChatTemplate::Rendering {
 public:
  Rendering(const ChatTemplate& chat, Messages messages, const SpecialTokens& tokens,
            const doc::Value* tools)
      : chat_(chat) {
    for (const auto& message : messages) messages_.push_back(Value::from(message));
    if (tokens.bos) variables_["bos_token"] = *tokens.bos;
    if (tokens.eos) variables_["eos_token"] = *tokens.eos;
    variables_["tools"] = tools == nullptr ? Value(jinja::None{}) : Value::from(*tools);
    variables_["documents"] = jinja::None{};
  }

  Interpreter::Output run(std::size_t count, bool add_generation_prompt) {
    jinja::Namespace variables = variables_;
    const auto end = messages_.begin() + static_cast<std::ptrdiff_t>(count);
    variables["messages"] = jinja::List(messages_.begin(), end);
    variables["add_generation_prompt"] = add_generation_prompt;
    const std::uint64_t given = std::min(steps_, steps_of_a_text);
    std::uint64_t left = given;
    Interpreter interpreter(*chat_.program_, chat_.origin_, left);
    interpreter.spend(count);  // for the copies above
    auto output = interpreter.run(std::move(variables));
    steps_ -= given - left;
    return output;
  }

  /// Bytes of the first `count` messages rendered alone, which must begin `whole`.
  std::size_t length_within(std::string_view whole, std::size_t count, bool add_prompt) {
    const std::string text = run(count, add_prompt).text;
    if (!whole.starts_with(text))
      throw Error(Exit::usage,
                  printable(chat_.origin_) + ": the template is not prefix-stable: message " +
                      std::to_string(count) + (add_prompt ? " and a prompt are" : " is") +
                      " written differently when more messages follow",
                  "train each answer apart, or mark what the assistant says by {% generation %}");
    return text.size();
  }

 private:
  const ChatTemplate& chat_;
  std::uint64_t steps_ = steps_of_a_conversation;
  jinja::List messages_;
  jinja::Namespace variables_;
};

ChatTemplate ChatTemplate::parse(std::string_view source, std::string_view origin) {
  return {std::make_shared<const jinja::Program>(jinja::parse(source, origin)),
          std::string(origin)};
}

std::string ChatTemplate::render(Messages messages, const SpecialTokens& tokens,
                                 bool add_generation_prompt, const doc::Value* tools) const {
  Rendering rendering(*this, messages, tokens, tools);
  return rendering.run(messages.size(), add_generation_prompt).text;
}

RenderedChat ChatTemplate::render_marked(Messages messages, const SpecialTokens& tokens,
                                         const doc::Value* tools) const {
  Rendering rendering(*this, messages, tokens, tools);
  auto output = rendering.run(messages.size(), false);
  RenderedChat chat;
  chat.text = std::move(output.text);
  if (program_->marks_generation) {
    for (const auto& [begin, end] : output.generated) chat.assistant.push_back({begin, end});
    return chat;
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!is_assistant(messages[i])) continue;
    const std::size_t begin = rendering.length_within(chat.text, i, true);
    const std::size_t end = rendering.length_within(chat.text, i + 1, false);
    if (begin < end) chat.assistant.push_back({begin, end});
  }
  return chat;
}

RenderedChat ChatTemplate::render_answer(Messages messages, std::size_t first,
                                         const SpecialTokens& tokens,
                                         const doc::Value* tools) const {
  Rendering rendering(*this, messages, tokens, tools);
  RenderedChat chat;
  chat.text = rendering.run(messages.size(), false).text;
  const std::size_t begin = rendering.length_within(chat.text, first, true);
  if (begin < chat.text.size()) chat.assistant.push_back({begin, chat.text.size()});
  return chat;
}

}  // namespace volt::lm
