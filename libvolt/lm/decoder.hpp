// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "libvolt/doc/fields.hpp"
#include "libvolt/lm/tokenizer_parts.hpp"

namespace volt::lm {

/// Makes bytes of the texts of tokens.
class Decoder {
 public:
  Decoder() = default;
  /// Reads the member "decoder" of a tokenizer.json: ByteLevel, ByteFallback, Fuse, Metaspace,
  /// Replace of a String, Strip, and a Sequence of these. Throws Error (usage) naming any other.
  Decoder(const doc::Fields& root, const doc::Value& tokenizer, const doc::Source& source);

  /// Where the reference writes U+FFFD for bytes that are not UTF-8, this gives the bytes. Without
  /// a decoder the tokens are joined by spaces, as the reference does. Throws Error (usage) when
  /// the text becomes more than 16 times as long as its tokens, and 4 KiB.
  std::string apply(std::vector<std::string> tokens) const;

 private:
  using Tokens = std::vector<std::string>;
  struct ByteLevel {};
  struct ByteFallback {};
  struct Fuse {};
  struct Metaspace {
    std::string replacement;
    bool prefixed;  ///< the first token had one put in front
  };
  struct Strip {
    std::string character;
    std::size_t start, stop;  ///< how many of it, at most
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip>;

  static Step read(doc::Fields& fields);
  static Strip read_strip(doc::Fields& fields);
  static Tokens apply_one(const Step& step, Tokens tokens, std::size_t most);

  std::vector<Step> steps_;
};

}  // namespace volt::lm
