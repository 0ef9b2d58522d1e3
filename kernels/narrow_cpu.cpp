// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "narrow_cpu.hpp"
#include "pack_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

#if defined(__AVX512VNNI__)

// A tile of C is at most 3 rows by 8 columns: as many vectors of sums, 3 of A and one of B.
constexpr int most_rows = 3, columns = 8;
constexpr std::uint64_t step = 4 * lanes;  // of k

typedef std::uint32_t Eight __attribute__((vector_size(32)));

// The sum of each vector's words, by three exchanges.
VOLT_VECTOR Eight sums_of(const Words (&v)[columns]) {
  Words pairs[4], fours[2];
  for (int i = 0; i < 4; ++i) {
    const Words a = v[2 * i], b = v[2 * i + 1];
    pairs[i] = (Words)__builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12,
                                              28, 14, 30) +
               (Words)__builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13,
                                              29, 15, 31);
  }
  for (int i = 0; i < 2; ++i) {
    const Words a = pairs[2 * i], b = pairs[2 * i + 1];
    fours[i] = (Words)__builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12,
                                              13, 28, 29) +
               (Words)__builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14,
                                              15, 30, 31);
  }
  const Words all = (Words)__builtin_shufflevector(fours[0], fours[1], 0, 1, 2, 3, 16, 17, 18, 19,
                                                   8, 9, 10, 11, 24, 25, 26, 27) +
                    (Words)__builtin_shufflevector(fours[0], fours[1], 4, 5, 6, 7, 20, 21, 22, 23,
                                                   12, 13, 14, 15, 28, 29, 30, 31);
  return (Eight)__builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7) +
         (Eight)__builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15);
}

// Sums of a row of C with eight of B's columns, by the lanes of vectors.
typedef Words RowSums[columns];

struct NarrowTile {
  const std::int8_t* a;
  std::uint64_t stride_a;
  std::uint32_t flip;
  const std::int8_t* b;  // [k / step][columns][step]
  std::uint64_t k;
  bool first;  // of all along k: nothing is there to be added to
};

// k is a multiple of the step.
template <int rows>
static void multiply(const NarrowTile& tile, RowSums* sums) {
  Words sum[rows][columns] = {};
  if (!tile.first) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j) sum[r][j] = sums[r][j];
    }
  }
  const Words flip = spread(tile.flip);
  const std::int8_t* b = tile.b;
  for (std::uint64_t p = 0; p < tile.k; p += step, b += columns * step) {
    Words x[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const std::int8_t* const a = tile.a + static_cast<std::uint64_t>(r) * tile.stride_a + p;
      x[r] = load<Words>(a) ^ flip;
      // The rows that come next are too short for the processor to see them coming. Their address
      // may lie beyond the matrix; nothing is read there.
      __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(a) +
                                                       rows * tile.stride_a));
    }
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) {
      Words y = load<Words>(b + static_cast<std::uint64_t>(j) * step);
      __asm__("" : "+v"(y));  // or gcc reads it once for each row
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sum[r][j] = dot(sum[r][j], x[r], y);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) sums[r][j] = sum[r][j];
  }
}

static void whole_steps(const NarrowTile& tile, std::uint64_t rows, RowSums* sums) {
  if (rows == 3) return multiply<3>(tile, sums);
  if (rows == 2) return multiply<2>(tile, sums);
  multiply<1>(tile, sums);
}

static void multiply(NarrowTile tile, std::uint64_t rows, RowSums* sums) {
  const std::uint64_t left = tile.k % step;
  tile.k -= left;
  whole_steps(tile, rows, sums);
  if (left == 0) return;
  // What is left is padded with elements that meet zeros of B.
  std::int8_t a[most_rows * step] = {};
  for (std::uint64_t r = 0; r < rows; ++r) {
    __builtin_memcpy(a + r * step, tile.a + r * tile.stride_a + tile.k, left);
  }
  whole_steps({a, step, tile.flip, tile.b + tile.k * columns, step, false}, rows, sums);
}

VOLT_VECTOR void add(std::int32_t* c, std::uint64_t width, Eight sums) {
  Eight value = {};
  if (width == columns) {
    __builtin_memcpy(&value, c, sizeof value);
    value += sums;
    __builtin_memcpy(c, &value, sizeof value);
  } else {
    __builtin_memcpy(&value, c, width * sizeof *c);
    value += sums;
    __builtin_memcpy(c, &value, width * sizeof *c);
  }
}

void pack_narrow(std::int8_t* to, std::int32_t* start, const Side& side, std::uint64_t count,
                 std::uint64_t k) {
  const auto* const from = static_cast<const std::int8_t*>(side.data);
  const std::uint64_t steps = (k + step - 1) / step;
  const std::uint64_t of_lane = side.k_contiguous ? side.stride : 1;
  const std::uint64_t of_k = side.k_contiguous ? 1 : side.stride;
  for (std::uint64_t first = 0; first < count; first += columns, start += columns) {
    Words sum[columns] = {};
    for (std::uint64_t s = 0; s < steps; ++s) {
      const std::uint64_t there = least(step, k - s * step);
      for (std::uint64_t j = 0; j < columns; ++j, to += step) {
        const std::uint64_t elements = first + j < count ? there : 0;
        const std::int8_t* const line =
            from + (first + j) * of_lane * (elements != 0) + s * step * of_k * (elements != 0);
        __builtin_memset(to, 0, step);
        if (of_k == 1) {
          __builtin_memcpy(to, line, elements);
        } else {
          for (std::uint64_t p = 0; p < elements; ++p) to[p] = line[p * of_k];
        }
        sum[j] = dot(sum[j], spread(bias), load<Words>(to));
      }
    }
    const Eight taken_off = -sums_of(sum);
    __builtin_memcpy(start, &taken_off, sizeof taken_off);
  }
}

// A few rows at a time, and their sums, stay in the first-level cache from one of B's columns to
// the next.
void rows_i8(const std::int8_t* a, std::uint64_t stride_a, std::uint32_t flip, const std::int8_t* b,
             const std::int32_t* start, std::uint64_t k, std::int32_t* c, std::uint64_t stride,
             std::uint64_t rows, std::uint64_t cols) {
  constexpr std::uint64_t at_a_time = 4 * most_rows, panel = 1024;
  const std::uint64_t packed = (k + step - 1) / step * step;
  RowSums sums[most_narrow / columns][at_a_time];
  for (std::uint64_t top = 0; top < rows; top += at_a_time) {
    const std::uint64_t count = least(at_a_time, rows - top);
    for (std::uint64_t p = 0; p < k; p += panel) {
      for (std::uint64_t col = 0; col < cols; col += columns) {
        for (std::uint64_t row = 0; row < count; row += most_rows) {
          multiply({a + (top + row) * stride_a + p, stride_a, flip ^ bias,
                    b + col * packed + p * columns, least(panel, k - p), p == 0},
                   least(most_rows, count - row), &sums[col / columns][row]);
        }
      }
    }
    for (std::uint64_t row = 0; row < count; ++row) {
      for (std::uint64_t col = 0; col < cols; col += columns) {
        Eight sum;
        __builtin_memcpy(&sum, start + col, sizeof sum);
        add(c + (top + row) * stride + col, least(columns, cols - col),
            sum + sums_of(sums[col / columns][row]));
      }
    }
  }
}

#endif

}  // namespace VOLT_ISA
}  // namespace volt::kernels
