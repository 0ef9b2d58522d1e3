// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "libvolt/doc/fields.hpp"
#include "libvolt/lm/split_pattern.hpp"
#include "libvolt/lm/tokenizer_parts.hpp"

namespace volt::lm {

/// A text and where its words end; each begins where the one before it ends, and none is empty.
struct Words {
  std::string text;
  std::vector<std::size_t> ends;
};

/// Cuts a text into the words that byte pair encoding does not merge across.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// Reads the member "pre_tokenizer" of a tokenizer.json: ByteLevel, last if at all; Split by the
  /// expressions of split_pattern.hpp; Digits; Metaspace; and a Sequence of these. Throws Error
  /// (usage) naming any other.
  PreTokenizer(const doc::Fields& root, const doc::Value& tokenizer, const doc::Source& source);

  /// The words of `text`. `at_start` says that the input begins with it.
  Words apply(std::string text, bool at_start) const;

  /// The model wants the words in the byte alphabet.
  bool byte_level() const { return byte_level_; }
  /// Some words depend on `at_start`.
  bool looks_at_start() const;

 private:
  struct Split {
    SplitPattern pattern;
  };
  struct Digits {
    bool individual;
  };
  struct LeadingSpace {};  ///< every word begins with a space: ByteLevel's add_prefix_space
  using Step = std::variant<Split, Digits, MetaspaceSettings, LeadingSpace>;

  void read(doc::Fields& fields);
  void read_byte_level(doc::Fields& fields);
  static Split read_split(doc::Fields& fields);
  static Words cut(const Step& step, Words words, bool at_start);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace volt::lm
