// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pack_cpu.hpp"

/// What the tiles of fp32 and integer products share: where they take A from, their heights, and
/// how a block is cut into them.
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

constexpr int group_size = 128;
constexpr std::uint64_t group_words = group_size / unit;

// Packed elements of A are biased and `start` is of B; those that lie as they are stored are not,
// B's are, and `start` is of A: of a row, the same in all lanes.
VOLT_VECTOR Words started(const Packed<std::uint32_t>&, const std::int32_t* start, int, int v) {
  return load<Words>(start + v * lanes);
}
VOLT_VECTOR Words started(const Direct<std::uint32_t>&, const std::int32_t* start, int r, int) {
  return spread(static_cast<std::uint32_t>(start[r]));
}
VOLT_VECTOR Words dot_of(const Packed<std::uint32_t>&, Words sum, Words x, Words y) {
  return dot(sum, x, y);
}
VOLT_VECTOR Words dot_of(const Direct<std::uint32_t>&, Words sum, Words x, Words y) {
  return dot(sum, y, x);
}
VOLT_VECTOR int starts_of(const Packed<std::uint32_t>&) { return tile_cols; }
VOLT_VECTOR int starts_of(const Direct<std::uint32_t>&) { return tile_rows; }

// A word along k of integer products.
template <int rows, int vectors, class A>
VOLT_VECTOR void dots(Words (&sum)[rows][vectors], A& a, const std::uint32_t*& b) {
  Words y[vectors];
  for (int v = 0; v < vectors; ++v) y[v] = load<Words>(b + v * lanes);
  for (int r = 0; r < rows; ++r) {
    const Words x = spread(a.at(r));
    for (int v = 0; v < vectors; ++v) sum[r][v] = dot_of(a, sum[r][v], x, y[v]);
  }
  a.next();
  b += tile_cols;
}

// Calls run(rows, vectors, i, j, c, stride) for each tile of C: the i-th down and j-th across.
// Where it hangs over the edge it gets a copy. B's tile stays in the first-level cache while A's go
// by.
template <class T, class Run>
VOLT_VECTOR void on_tiles(T* c, std::uint64_t stride, std::uint64_t rows, std::uint64_t cols,
                          Run run) {
  for (std::uint64_t col = 0; col < cols; col += tile_cols) {
    const std::uint64_t width = least(cols - col, tile_cols);
    for (std::uint64_t row = 0; row < rows; row += tile_rows) {
      const std::uint64_t i = row / tile_rows, j = col / tile_cols;
      with_height<tile_rows>(least(rows - row, tile_rows), [&](auto height) {
        T* const tile = c + row * stride + col;
        if (width == tile_cols) return run(height, Constant<2>{}, i, j, tile, stride);
        T edge[tile_rows * tile_cols] = {};
        for (std::uint64_t r = 0; r < height.value; ++r) {
          __builtin_memcpy(edge + r * tile_cols, tile + r * stride, width * sizeof(T));
        }
        if (width <= lanes) {
          run(height, Constant<1>{}, i, j, edge, std::uint64_t{tile_cols});
        } else {
          run(height, Constant<2>{}, i, j, edge, std::uint64_t{tile_cols});
        }
        for (std::uint64_t r = 0; r < height.value; ++r) {
          __builtin_memcpy(tile + r * stride, edge + r * tile_cols, width * sizeof(T));
        }
      });
    }
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
