// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any text is a chat template that renders a conversation, or an Error of usage; and
// what it says that the assistant said lies inside what it wrote.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/chat_template.hpp"

using namespace volt;

namespace {

const doc::Value conversation = doc::parse_json(
    R"([{"role": "system", "content": "s"}, {"role": "user", "content": " a\n"},
        {"role": "assistant", "content": "b", "tool_calls": [{"n": 1.5, "x": null, "y": true}]},
        {"role": "user", "content": "<é>"}, {"role": "assistant", "content": "</think>d"}])",
    "conversation");

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto chat =
        lm::ChatTemplate::parse({reinterpret_cast<const char*>(data), size}, "template");
    const auto& messages = *conversation.get_if<doc::Value::Array>();
    const auto text = chat.render(messages, {"<s>", "</s>"}, false);
    const auto marked = chat.render_marked(messages, {"<s>", "</s>"});
    if (marked.text != text) std::abort();
    std::size_t reached = 0;
    for (const auto& span : marked.assistant) {
      if (span.begin < reached || span.end < span.begin || span.end > text.size()) std::abort();
      reached = span.end;
    }
  } catch (const Error& error) {
    if (error.code() != Exit::usage || error.message().empty()) std::abort();
  }
  return 0;
}
