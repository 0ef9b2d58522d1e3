// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pack_cpu.hpp"

/// What the tiles of fp32 and integer products share: where they take A from, and their heights.
namespace volt::kernels {
inline namespace VOLT_ISA {

// Sources of A: one element (or word) of each of a tile's rows at a time.

template <class Word>
struct Packed {
  const Word* a;
  VOLT_MEMBER Word at(int row) const { return a[row]; }
  VOLT_MEMBER void next() { a += tile_rows; }
};

/// The rows of the matrix itself. Three share an address, for want of registers.
template <class Word>
struct Direct {
  const char* rows[(tile_rows + 2) / 3];
  std::uint64_t stride;  // bytes
  VOLT_MEMBER Direct(const void* a, std::uint64_t stride_bytes) : stride(stride_bytes) {
    for (int i = 0; i < (tile_rows + 2) / 3; ++i) {
      rows[i] = static_cast<const char*>(a) + static_cast<std::uint64_t>(3 * i) * stride;
    }
  }
  VOLT_MEMBER Word at(int row) const {
    Word word;
    __builtin_memcpy(&word, rows[row / 3] + static_cast<std::uint64_t>(row % 3) * stride,
                     sizeof word);
    return word;
  }
  VOLT_MEMBER void next() {
    for (const char*& row : rows) row += sizeof(Word);
  }
};

template <int n>
struct Constant {
  static constexpr int value = n;
};

// Calls run(Constant<height>) where `height` is known only now.
template <int most, class Run>
VOLT_VECTOR void with_height(std::uint64_t height, Run run) {
  if (height == most) {
    run(Constant<most>{});
  } else if constexpr (most > 1) {
    with_height<most - 1>(height, run);
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
