// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/doc/fields.hpp"

/// What the readers of tokenizer.json's parts share; nobody else includes it.
namespace volt::lm {

/// The steps that the member `key` is made of: none when it is null or absent, those in `list` when
/// it is a "Sequence", else itself. Refuses more than 16, and a Sequence within one.
std::vector<doc::Fields> steps_of(const doc::Fields& root, const doc::Value& value,
                                  const doc::Source& source, std::string_view key,
                                  std::string_view list);

/// The string `key` of `fields`, of 1 to 1024 bytes.
const std::string& short_string(doc::Fields& fields, std::string_view key);

/// The string `key` of `fields`, which must be one character.
const std::string& one_character(doc::Fields& fields, std::string_view key);

/// The member `key`, true or false; `otherwise` when it is absent or null.
bool flag(doc::Fields& fields, std::string_view key, bool otherwise);

/// {"type": "Replace", "pattern": {"String": ...}, "content": ...}, of normalizers and decoders.
struct Replace {
  std::string pattern, content;

  static Replace read(doc::Fields& fields);
  /// `text` with every occurrence replaced, from the left. Throws Error (usage) when that would be
  /// longer than `most`.
  std::string apply(std::string_view text, std::size_t most) const;
};

/// {"type": "Metaspace", ...}, of pre-tokenizers and decoders.
struct MetaspaceSettings {
  enum class Prepend { always, first, never };
  std::string replacement;            ///< of a space: one character
  Prepend prepend = Prepend::always;  ///< where it is put in front of a text
  bool split = true;                  ///< words begin with it

  static MetaspaceSettings read(doc::Fields& fields);
};

/// How long a step may make a text of `bytes`: a chain of replacements could make it endless.
constexpr std::size_t longest(std::size_t bytes) { return 16 * bytes + 4096; }

}  // namespace volt::lm
