// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/doc/value.hpp"
#include "libvolt/lm/chat_template.hpp"

namespace volt::lm {

/// A piece of a sample, UTF-8.
struct Segment {
  std::string_view text;
  bool trained = true;  ///< whether the model is to learn to write it
};

/// One text to train on, or to go on from. Its segments follow each other without anything between
/// them.
struct Sample {
  enum class Kind {
    text,      ///< as it stands, or a prompt and its completion
    chat,      ///< written by a chat template, special tokens included
    document,  ///< a whole file, to be cut to the length of the context
  };
  Kind kind = Kind::text;
  std::string place;  ///< "train.jsonl:17", for messages
  std::vector<Segment> segments;
};

/// JSON Lines, or one plain text. Throws Error (usage) unless `name` ends with .jsonl or .txt.
enum class DataFormat { json_lines, plain_text };
DataFormat data_format(std::string_view name);

struct DataOptions {
  /// Samples are what a model is to go on from, and nothing in them is trained.
  bool prompts = false;
  bool skip_bad_lines = false;  ///< count them instead of refusing the file
  /// A sample for each answer of a conversation, with all that was said before: for templates that
  /// are not prefix-stable. Else a sample is a whole conversation.
  bool answers_apart = false;
  const ChatTemplate* chat_template = nullptr;  ///< of the model's folder, if it has one
  ChatTemplate::SpecialTokens special_tokens;
};

/// Reads training data, or prompts, sample by sample. A line of JSON Lines (at most 16 MiB; empty
/// ones are passed over) is an object of one of three kinds, the same in the whole file; its other
/// keys are ignored:
///   {"text": string}                             all of it trained
///   {"prompt": string, "completion": string}     the completion trained
///   {"messages": [{"role", "content"}, ...]}     what the assistant says trained
/// "prompt" and "completion" may both be lists of messages: then the completion is trained. A plain
/// text is one sample of many segments.
///
/// Of prompts a line has a "prompt", which may be a list of messages, or "messages": what the
/// template makes of them ends with its prompt for an answer. Of a plain text each line is a
/// sample.
class DataReader {
 public:
  /// `file` is the whole file, mapped; it and the template must outlive the reader. `name` is for
  /// messages.
  DataReader(std::string_view file, std::string name, DataFormat format, DataOptions options);

  /// The next sample, valid until the next call; null at the end. Throws Error (usage)
  /// "name:LINE: ..." on a bad line, also after all of a file that has no sample.
  const Sample* next();

  struct Skipped {
    std::uint64_t lines = 0;
    std::vector<std::string> first;  ///< messages about the first few
  };
  const Skipped& skipped() const { return skipped_; }

 private:
  enum class Kind { text, completion, answer, messages, prompt, question };

  [[noreturn]] void fail(const std::string& what, std::string hint = {}) const;
  void read_line();
  void read_object(std::string_view line);
  Kind kind_of_object() const;
  Kind kind_of_prompt() const;
  const doc::Value& member(std::string_view key) const;
  std::string_view text(std::string_view key) const;
  void add_messages(std::string_view key);
  void render();
  void segment_chat();
  const Sample* whole_text();

  std::string_view file_;
  std::string name_;
  DataFormat format_;
  DataOptions options_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 0, samples_ = 0;
  std::optional<Kind> kind_;  ///< of all lines, once the first has told
  doc::Value object_;         ///< the line
  std::vector<doc::Value> messages_;
  std::size_t first_answer_ = 0;  ///< of prompt and completion: where the latter begins
  std::size_t rendered_ = 0;      ///< messages that samples have been made of
  RenderedChat chat_;
  Sample sample_;
  Skipped skipped_;
};

}  // namespace volt::lm
