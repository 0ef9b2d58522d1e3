// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

/// Byte-level vocabularies spell a byte as a visible character (GPT-2's bytes_to_unicode):
/// "!" to "~", U+00A1 to U+00AC and U+00AE to U+00FF stand for themselves, and the 68 other bytes,
/// in rising order, are U+0100 to U+0143.
namespace volt::lm {

/// The characters of `bytes`, added to `text`.
void append_in_byte_alphabet(std::string& text, std::string_view bytes);

/// The bytes that `text` spells; nothing if any character is outside the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace volt::lm
