// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/data.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::lm {
namespace {

using doc::Value;

constexpr std::size_t max_line = std::size_t{16} << 20;
constexpr std::size_t max_depth = 64;
constexpr std::size_t shown_bad_lines = 5;
/// Bytes of a line times the answers in it, where each is trained apart: what is rendered grows so.
constexpr std::size_t max_apart = std::size_t{1} << 30;

/// Up to the next place where a text may be parted: behind a line end that a letter follows, where
/// no tokenizer joins the two sides, so that a part can be tokenised alone.
std::size_t part_length(std::string_view text) {
  constexpr std::size_t enough = std::size_t{1} << 20;
  for (std::size_t at = enough; at < text.size(); ++at) {
    at = text.find('\n', at);
    if (at >= text.size() - 1) break;
    const char c = text[at + 1];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return at + 1;
  }
  return text.size();
}

/// Of messages that have been checked.
bool is_answer(const Value& message) {
  return *message.find("role")->get_if<std::string>() == "assistant";
}

}  // namespace

DataFormat data_format(std::string_view name) {
  if (name.ends_with(".jsonl")) return DataFormat::json_lines;
  if (name.ends_with(".txt")) return DataFormat::plain_text;
  throw Error(Exit::usage, printable(name) + ": data is a .jsonl or a .txt file",
              "one JSON object a line, or plain text");
}

DataReader::DataReader(std::string_view file, std::string name, DataFormat format,
                       DataOptions options)
    : file_(file), name_(printable(name)), format_(format), options_(std::move(options)) {}

void DataReader::fail(const std::string& what, std::string hint) const {
  const std::string place = line_ == 0 ? name_ : name_ + ":" + std::to_string(line_);
  throw Error(Exit::usage, place + ": " + what, std::move(hint));
}

const Sample* DataReader::next() {
  if (format_ == DataFormat::plain_text && !options_.prompts) return whole_text();
  while (rendered_ < messages_.size() || at_ < file_.size()) {
    try {
      sample_.segments.clear();
      if (rendered_ == messages_.size()) read_line();
      if (rendered_ < messages_.size()) render();
    } catch (const Error& error) {
      rendered_ = messages_.size();
      if (!options_.skip_bad_lines) throw;
      ++skipped_.lines;
      if (skipped_.first.size() < shown_bad_lines) skipped_.first.push_back(error.text());
      continue;
    }
    if (sample_.segments.empty()) continue;
    ++samples_;
    return &sample_;
  }
  line_ = 0;
  if (samples_ == 0)
    fail(options_.prompts      ? "there is no prompt in it"
         : skipped_.lines == 0 ? "there is nothing to train on in it"
                               : "every line is bad; first: " + skipped_.first.front());
  return nullptr;
}

/// Leaves segments, messages to render, or, of an empty line, nothing.
void DataReader::read_line() {
  const std::size_t end = std::min(file_.find('\n', at_), file_.size());
  const auto line = file_.substr(at_, end - at_);
  at_ = std::min(end + 1, file_.size());
  ++line_;
  messages_.clear();
  rendered_ = 0;
  if (line.size() > max_line)
    fail("the line has " + std::to_string(line.size()) + " bytes, more than the " +
         std::to_string(max_line) + " allowed");
  if (trim(line).empty()) return;
  sample_.place = name_ + ":" + std::to_string(line_);
  if (format_ == DataFormat::json_lines) return read_object(line);
  if (!is_utf8(line)) fail("the line is not UTF-8");
  sample_.kind = Sample::Kind::text;
  sample_.segments = {{line.ends_with('\r') ? line.substr(0, line.size() - 1) : line, false}};
}

void DataReader::read_object(std::string_view line) {
  try {
    object_ = doc::parse_json(line, "", {max_line, max_depth});
  } catch (const Error& error) {
    // ":1:COLUMN: ..." without an origin; the only line of that document is this one.
    const auto what = std::string_view(error.message()).substr(2);
    throw Error(Exit::usage, sample_.place + std::string(what), error.hint());
  }
  if (object_.get_if<Value::Object>() == nullptr)
    fail("the line is " + std::string(object_.kind()) + ", not a table");
  const Kind kind = kind_ ? *kind_ : options_.prompts ? kind_of_prompt() : kind_of_object();
  const bool chat = kind == Kind::answer || kind == Kind::messages || kind == Kind::question;
  sample_.kind = chat ? Sample::Kind::chat : Sample::Kind::text;
  switch (kind) {
    case Kind::text:
      sample_.segments = {{text("text"), true}};
      break;
    case Kind::completion:
      sample_.segments = {{text("prompt"), false}, {text("completion"), true}};
      break;
    case Kind::answer:
      add_messages("prompt");
      first_answer_ = messages_.size();
      add_messages("completion");
      break;
    case Kind::messages:
      add_messages("messages");
      if (const auto answers = std::count_if(messages_.begin(), messages_.end(), is_answer);
          options_.answers_apart && line.size() > max_apart / static_cast<std::size_t>(answers + 1))
        fail(std::to_string(answers) + " answers in " + std::to_string(line.size()) +
             " bytes are too many to train each apart");
      break;
    case Kind::prompt:
      sample_.segments = {{text("prompt"), false}};
      break;
    case Kind::question:
      add_messages(object_.find("messages") != nullptr ? "messages" : "prompt");
      break;
  }
  if (!options_.prompts && !sample_.segments.empty() && sample_.segments.back().text.empty())
    fail(kind == Kind::text ? "text is empty" : "completion is empty");
  kind_ = kind;
}

DataReader::Kind DataReader::kind_of_object() const {
  const bool is_text = object_.find("text") != nullptr;
  const bool is_chat = object_.find("messages") != nullptr;
  const Value* prompt = object_.find("prompt");
  const bool is_pair = prompt != nullptr && object_.find("completion") != nullptr;
  if (is_text + is_chat + is_pair > 1)
    fail("the line has more than one of \"text\", \"messages\", and \"prompt\" with \"completion\"",
         "leave the one to train on");
  if (is_text) return Kind::text;
  if (is_chat) return Kind::messages;
  if (is_pair) return prompt->get_if<Value::Array>() != nullptr ? Kind::answer : Kind::completion;
  constexpr std::array<std::string_view, 4> keys{"text", "messages", "prompt", "completion"};
  std::string hint;
  for (const auto& one : *object_.get_if<Value::Object>())
    if (hint.empty()) hint = suggestion(one.first, keys);
  fail("the line has no \"text\", no \"messages\", and no \"prompt\" with a \"completion\"", hint);
}

DataReader::Kind DataReader::kind_of_prompt() const {
  const Value* prompt = object_.find("prompt");
  const bool is_chat = object_.find("messages") != nullptr;
  if (prompt != nullptr && is_chat)
    fail("the line has \"prompt\" and \"messages\"", "leave the one to go on from");
  if (is_chat) return Kind::question;
  if (prompt == nullptr) fail("the line has no \"prompt\" and no \"messages\"");
  return prompt->get_if<Value::Array>() != nullptr ? Kind::question : Kind::prompt;
}

const Value& DataReader::member(std::string_view key) const {
  const Value* found = object_.find(key);
  if (found == nullptr)
    fail("the line has no \"" + std::string(key) + "\", which those before it have");
  return *found;
}

std::string_view DataReader::text(std::string_view key) const {
  const Value& value = member(key);
  const auto* found = value.get_if<std::string>();
  if (found == nullptr)
    fail(std::string(key) + " is " + std::string(value.kind()) + ", not a string");
  return *found;
}

void DataReader::add_messages(std::string_view key) {
  const Value& value = member(key);
  const std::string name(key);
  const auto* list = value.get_if<Value::Array>();
  if (list == nullptr) fail(name + " is " + std::string(value.kind()) + ", not a list");
  if (list->empty()) fail(name + " is empty");
  for (std::size_t i = 0; i < list->size(); ++i)
    for (const std::string_view part : {"role", "content"}) {
      const std::string who = name + "[" + std::to_string(i) + "]";
      const Value* found = (*list)[i].find(part);
      if (found == nullptr) fail(who + " has no \"" + std::string(part) + "\"");
      if (found->get_if<std::string>() == nullptr)
        fail(who + "." + std::string(part) + " is " + std::string(found->kind()) +
             ", not a string");
    }
  const Value* tools = object_.find("tools");
  const auto* listed = tools == nullptr ? nullptr : tools->get_if<Value::Array>();
  if (tools != nullptr && tools->get_if<std::nullptr_t>() == nullptr &&
      (listed == nullptr || !listed->empty()))
    fail("\"tools\" are not understood yet", "leave them out, or write them into the messages");
  messages_.insert(messages_.end(), list->begin(), list->end());
}

/// Makes a sample of the conversation, or of its next answer. Counts what it takes first, so that
/// an error does not lead back here.
void DataReader::render() {
  const auto* chat = options_.chat_template;
  const auto& tokens = options_.special_tokens;
  const auto rendered = [&](const auto& render) {
    return during("rendering " + sample_.place, render);
  };
  const std::size_t begun = std::exchange(rendered_, messages_.size());
  if (chat == nullptr)
    fail("a conversation, but the model has no chat template",
         "add chat_template to its tokenizer_config.json, or give prompts and completions");
  if (*kind_ == Kind::question) {
    chat_ = {rendered([&] { return chat->render(messages_, tokens, true); }), {}};
    return segment_chat();
  }
  if (*kind_ == Kind::answer) {
    chat_ = rendered([&] { return chat->render_answer(messages_, first_answer_, tokens); });
    return segment_chat();
  }
  const auto answer = std::find_if(messages_.begin() + static_cast<std::ptrdiff_t>(begun),
                                   messages_.end(), is_answer);
  if (answer == messages_.end()) {
    if (begun > 0) return;
    fail("no message has the role \"assistant\": there is nothing to train on");
  }
  if (options_.answers_apart) {
    const auto index = static_cast<std::size_t>(answer - messages_.begin());
    rendered_ = index + 1;
    const auto said = std::span(messages_).first(rendered_);
    chat_ = rendered([&] { return chat->render_answer(said, index, tokens); });
  } else {
    chat_ = rendered([&] { return chat->render_marked(messages_, tokens); });
  }
  segment_chat();
}

void DataReader::segment_chat() {
  const std::string_view whole = chat_.text;
  std::size_t reached = 0;
  const auto add = [&](std::size_t end, bool trained) {
    if (end > reached) sample_.segments.push_back({whole.substr(reached, end - reached), trained});
    reached = end;
  };
  for (const auto& span : chat_.assistant) {
    add(span.begin, false);
    add(span.end, true);
  }
  add(whole.size(), false);
}

const Sample* DataReader::whole_text() {
  if (std::exchange(samples_, 1) != 0) return nullptr;
  if (trim(file_).empty()) fail("there is nothing to train on in it");
  if (file_.starts_with("\xef\xbb\xbf"))
    fail("begins with a byte order mark", "save it as UTF-8 without BOM");
  sample_.kind = Sample::Kind::document;
  sample_.place = name_;
  for (auto rest = file_; !rest.empty(); rest.remove_prefix(sample_.segments.back().text.size())) {
    const auto part = rest.substr(0, part_length(rest));
    if (!is_utf8(part)) {
      for (const auto line : split(part, '\n')) {
        ++line_;
        if (!is_utf8(line)) fail("the line is not UTF-8");
      }
    }
    line_ += static_cast<std::uint64_t>(std::count(part.begin(), part.end(), '\n'));
    sample_.segments.push_back({part, true});
  }
  return &sample_;
}

}  // namespace volt::lm
