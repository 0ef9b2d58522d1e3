// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libvolt/doc/fields.hpp"
#include "libvolt/lm/tokenizer_parts.hpp"

namespace volt::lm {

/// What a tokenizer does to a text before it cuts it: Unicode's form C (Qwen), or a "▁" in front
/// and for every space (Llama 2).
class Normalizer {
 public:
  Normalizer() = default;
  /// Reads the member "normalizer" of a tokenizer.json; NFC, Prepend, Replace of a String, and a
  /// Sequence of these. Throws Error (usage) naming any other.
  Normalizer(const doc::Fields& root, const doc::Value& tokenizer, const doc::Source& source);

  bool empty() const { return steps_.empty(); }

  /// Nothing is put in front of a text that `continues` another. Throws Error (usage) when the text
  /// becomes more than 16 times as long, and 4 KiB.
  std::string apply(std::string_view utf8, bool continues) const;

 private:
  struct Nfc {};
  struct Prepend {
    std::string text;
  };
  using Step = std::variant<Nfc, Prepend, Replace>;

  static Step read(doc::Fields& fields);

  std::vector<Step> steps_;
};

}  // namespace volt::lm
