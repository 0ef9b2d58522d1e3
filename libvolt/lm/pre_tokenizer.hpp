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

/// Where a text stands that is cut: at the start of the input, within it, or at the start of an
/// input that goes on from another, whose first word then gets no mark in front.
enum class Place { start, middle, continued };

/// Cuts a text into the words that byte pair encoding does not merge across.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// Reads the member "pre_tokenizer" of a tokenizer.json: ByteLevel, last if at all; Split by the
  /// expressions of split_pattern.hpp; Digits; Metaspace; and a Sequence of these. Throws Error
  /// (usage) naming any other.
  PreTokenizer(const doc::Fields& root, const doc::Value& tokenizer, const doc::Source& source);

  Words apply(std::string text, Place place) const;

  /// The model wants the words in the byte alphabet.
  bool byte_level() const { return byte_level_; }
  /// Some words depend on whether the text is at the start.
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
  static Words cut(const Step& step, Words words, Place place);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace volt::lm
