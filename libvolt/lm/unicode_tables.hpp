// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

/// Made by unicode_tables.py, which says whose Unicode they follow; for unicode.cpp and nfc.cpp.
namespace volt::lm {

constexpr std::uint32_t class_letter = 1, class_number = 2, class_numeric = 4, class_word = 8;

/// Characters `first` to `last` have `classes`, a sum of the constants above. All tables rise.
struct ClassRange {
  char32_t first, last;
  std::uint32_t classes;
};

/// Characters `first` to `last` have the canonical combining class `value`, which is not 0.
struct CombiningRange {
  char32_t first, last;
  std::uint32_t value;
};

/// `composed` is canonically equivalent to `first` and, unless that is 0, `second`.
struct Decomposition {
  char32_t composed, first, second;
};

/// `first` and `second` compose to `composed`.
struct Composition {
  char32_t first, second, composed;
};

extern const std::span<const ClassRange> class_ranges;
extern const std::span<const CombiningRange> combining_ranges;
extern const std::span<const Decomposition> decompositions;
extern const std::span<const Composition> compositions;

}  // namespace volt::lm
