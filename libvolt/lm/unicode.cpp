// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/unicode.hpp"

#include <algorithm>

#include "libvolt/lm/unicode_tables.hpp"

namespace volt::lm {
namespace {

bool has_class(char32_t code, std::uint32_t wanted) {
  const auto range =
      std::upper_bound(class_ranges.begin(), class_ranges.end(), code,
                       [](char32_t value, const ClassRange& one) { return value < one.first; });
  if (range == class_ranges.begin()) return false;
  const ClassRange& one = *(range - 1);
  return code <= one.last && (one.classes & wanted) != 0;
}

}  // namespace

Character character_at(std::string_view utf8, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(utf8[at + i]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xe0) return {(first & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (first < 0xf0) return {(first & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f), 3};
  return {(first & 0x7) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f),
          4};
}

void append_utf8(std::string& text, char32_t code) {
  const auto tail = [&](unsigned shift) {
    text += static_cast<char>(0x80 | (code >> shift & 0x3f));
  };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xf0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_letter(char32_t code) { return has_class(code, class_letter); }
bool is_number(char32_t code) { return has_class(code, class_number); }
bool is_numeric(char32_t code) { return has_class(code, class_numeric); }
bool is_word(char32_t code) { return has_class(code, class_word); }

bool is_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

}  // namespace volt::lm
