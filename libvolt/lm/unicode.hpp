// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// What tokenizers ask of the characters of a text that is known to be UTF-8, and Normalization
/// Form C. Which version of Unicode each answer follows: unicode_tables.py.
namespace volt::lm {

struct Character {
  char32_t code;
  std::size_t length;  ///< bytes
};

/// The character that begins at byte `at`, which must be one's first.
Character character_at(std::string_view utf8, std::size_t at);
void append_utf8(std::string& text, char32_t code);

bool is_letter(char32_t code);   ///< \p{L}
bool is_number(char32_t code);   ///< \p{N}
bool is_numeric(char32_t code);  ///< Rust's char::is_numeric, which knows some numbers more
bool is_word(char32_t code);     ///< \w: letters, marks, digits, connectors, joiners
bool is_space(char32_t code);    ///< \s: White_Space

/// Normalization Form C (Unicode Standard Annex 15). Takes time n log n on any text; the result is
/// at most three times as long.
std::string to_nfc(std::string_view utf8);

}  // namespace volt::lm
