// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace volt::lm {

/// A token that is found in the text before it is cut into words, such as "<|im_end|>".
struct AddedToken {
  std::uint32_t id = 0;
  std::string content;                  ///< 1 to 256 bytes, UTF-8
  bool special = false;                 ///< left out by Tokenizer::decode on demand
  bool normalized = false;              ///< content and text are compared after normalization
  bool single_word = false;             ///< not beside a character of a word
  bool lstrip = false, rstrip = false;  ///< takes the white space on that side with it
};

/// Finds added tokens in a text: from the left, of those that begin at a place the longest.
class AddedTokens {
 public:
  struct Entry {
    std::string text;  ///< what is looked for; not empty
    AddedToken token;
  };
  /// Throws Error (usage) when two have the same text.
  explicit AddedTokens(std::vector<Entry> entries = {});

  /// A stretch of a text, a token or what lies between two.
  struct Section {
    std::size_t begin, end;  ///< bytes
    std::optional<std::uint32_t> id;
  };
  /// The sections of `utf8`, none of them empty. Without `special`, the special ones are text.
  std::vector<Section> find(std::string_view utf8, bool special) const;

 private:
  const Entry* longest_at(std::string_view utf8, std::size_t at) const;

  std::vector<Entry> entries_;               // by text
  std::array<std::uint32_t, 257> begins_{};  // of those with each first byte
};

}  // namespace volt::lm
