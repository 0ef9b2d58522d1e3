// SPDX-License-Identifier: Apache-2.0
// Normalization Form C: Unicode Standard Annex 15; Hangul by the arithmetic of chapter 3.12.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "libvolt/lm/unicode.hpp"
#include "libvolt/lm/unicode_tables.hpp"

namespace volt::lm {
namespace {

constexpr char32_t hangul = 0xac00, leading = 0x1100, vowel = 0x1161, trailing = 0x11a7;
constexpr char32_t leadings = 19, vowels = 21, trailings = 28;
constexpr char32_t syllables = leadings * vowels * trailings;

struct Element {
  char32_t code;
  std::uint32_t combining;  // its canonical combining class; 0 is a starter
};

std::uint32_t combining_class(char32_t code) {
  const auto range =
      std::upper_bound(combining_ranges.begin(), combining_ranges.end(), code,
                       [](char32_t value, const CombiningRange& one) { return value < one.first; });
  if (range == combining_ranges.begin()) return 0;
  const CombiningRange& one = *(range - 1);
  return code <= one.last ? one.value : 0;
}

/// The row of `code`; null when it stands for itself.
const Decomposition* decomposition(char32_t code) {
  const auto row = std::lower_bound(
      decompositions.begin(), decompositions.end(), code,
      [](const Decomposition& one, char32_t value) { return one.composed < value; });
  return row != decompositions.end() && row->composed == code ? &*row : nullptr;
}

void decompose(char32_t code, std::vector<Element>& to) {
  if (code >= hangul && code - hangul < syllables) {
    const char32_t index = code - hangul;
    to.push_back({leading + index / (vowels * trailings), 0});
    to.push_back({vowel + index % (vowels * trailings) / trailings, 0});
    if (index % trailings != 0) to.push_back({trailing + index % trailings, 0});
    return;
  }
  // Only the first of two decomposes further, a few times at most.
  char32_t seconds[4];
  std::size_t count = 0;
  for (const Decomposition* row; (row = decomposition(code)) != nullptr; code = row->first) {
    if (row->second != 0) seconds[count++] = row->second;
  }
  to.push_back({code, combining_class(code)});
  while (count > 0) {
    --count;
    to.push_back({seconds[count], combining_class(seconds[count])});
  }
}

/// Marks between two starters rise in class; those of one class stay as they are.
void order(std::vector<Element>& elements) {
  const auto starter = [](const Element& one) { return one.combining == 0; };
  for (auto at = elements.begin(); at != elements.end();) {
    const auto first = std::find_if_not(at, elements.end(), starter);
    at = std::find_if(first, elements.end(), starter);
    std::stable_sort(first, at,
                     [](const Element& a, const Element& b) { return a.combining < b.combining; });
  }
}

/// What `first` and `second` compose to, or 0.
char32_t composed(char32_t first, char32_t second) {
  if (first >= leading && first - leading < leadings && second >= vowel && second - vowel < vowels)
    return hangul + ((first - leading) * vowels + (second - vowel)) * trailings;
  if (first >= hangul && first - hangul < syllables && (first - hangul) % trailings == 0 &&
      second > trailing && second - trailing < trailings)
    return first + (second - trailing);
  const auto row =
      std::lower_bound(compositions.begin(), compositions.end(), Composition{first, second, 0},
                       [](const Composition& a, const Composition& b) {
                         return a.first != b.first ? a.first < b.first : a.second < b.second;
                       });
  const bool found = row != compositions.end() && row->first == first && row->second == second;
  return found ? row->composed : 0;
}

void compose(std::vector<Element>& elements) {
  std::size_t kept = 0;
  std::size_t starter = elements.size();  // the last one kept; none yet
  for (const Element one : elements) {
    if (starter < kept) {
      // Blocked by what stands between, unless that is of a lower class.
      const bool next = starter + 1 == kept;
      if (next || elements[kept - 1].combining < one.combining) {
        if (const char32_t whole = composed(elements[starter].code, one.code); whole != 0) {
          elements[starter].code = whole;
          continue;
        }
      }
    }
    if (one.combining == 0) starter = kept;
    elements[kept++] = one;
  }
  elements.resize(kept);
}

}  // namespace

std::string to_nfc(std::string_view utf8) {
  // Nothing below U+0300 changes or composes, and its first byte is below 0xCC.
  const auto changes = [](char c) { return static_cast<unsigned char>(c) >= 0xcc; };
  if (std::none_of(utf8.begin(), utf8.end(), changes)) return std::string(utf8);

  std::vector<Element> elements;
  elements.reserve(utf8.size());
  for (std::size_t at = 0; at < utf8.size();) {
    const Character one = character_at(utf8, at);
    decompose(one.code, elements);
    at += one.length;
  }
  order(elements);
  compose(elements);
  std::string text;
  text.reserve(utf8.size());
  for (const Element& one : elements) append_utf8(text, one.code);
  return text;
}

}  // namespace volt::lm
