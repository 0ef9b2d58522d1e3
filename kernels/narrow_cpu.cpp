// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "narrow_cpu.hpp"
#include "pack_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

#if defined(__AVX512VNNI__)

// A tile of C is at most 8 rows by a vector of columns. B is made unsigned, so that four elements
// of A are an operand as they lie in memory; what that adds, 128 times the sum of a row of A, is
// taken off at the end.
constexpr int most_rows = 8;
constexpr int parts = 2;  // of a row's sums, so that one need not wait for the other
constexpr int fours = lanes;
constexpr std::uint64_t step = 4 * fours;  // of k

template <int rows>
struct NarrowSums {
  Words c[rows][parts];
  Words a[rows];
};

// Adds `k` elements, a multiple of the step.
template <int rows>
VOLT_VECTOR void add_steps(NarrowSums<rows>& sums, const std::int8_t* a, std::uint64_t stride_a,
                           const std::uint32_t* b, std::uint64_t k) {
  for (std::uint64_t p = 0; p < k; p += step) {
    const std::uint64_t ahead = to_prefetch(p, k, rows * stride_a);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const std::int8_t* const row = a + static_cast<std::uint64_t>(r) * stride_a + p;
      sums.a[r] = dot(sums.a[r], spread(0x01010101u), load<Words>(row));
      prefetch(row, ahead);
    }
#pragma GCC unroll 16
    for (int f = 0; f < fours; ++f, b += lanes) {
      const Words y = load<Words>(b);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const std::int8_t* const x = a + static_cast<std::uint64_t>(r) * stride_a + p + 4 * f;
        Words& sum = sums.c[r][f % parts];
        sum = dot(sum, y, spread(load<std::uint32_t>(x)));
      }
    }
  }
}

template <int rows>
static void multiply(const std::int8_t* a, std::uint64_t stride_a, const std::uint32_t* b,
                     std::uint64_t k, std::int32_t* c, std::uint64_t stride, std::uint64_t cols) {
  NarrowSums<rows> sums = {};
  const std::uint64_t left = k % step, whole = k - left;
  add_steps(sums, a, stride_a, b, whole);
  if (left != 0) {
    std::int8_t end[rows * step] = {};
    for (int r = 0; r < rows; ++r) {
      __builtin_memcpy(end + static_cast<std::uint64_t>(r) * step,
                       a + static_cast<std::uint64_t>(r) * stride_a + whole, left);
    }
    add_steps(sums, end, step, b + whole / 4 * lanes, step);
  }
  for (int r = 0; r < rows; ++r) {
    std::uint32_t of_a = 0;
    for (int l = 0; l < lanes; ++l) of_a += sums.a[r][l];
    std::int32_t* const to = c + static_cast<std::uint64_t>(r) * stride;
    Words value = {};
    __builtin_memcpy(&value, to, cols * sizeof *to);
    value += sums.c[r][0] + sums.c[r][1] - (of_a << 7);
    __builtin_memcpy(to, &value, cols * sizeof *to);
  }
}

void pack_narrow(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t k) {
  pack_i8(to, side, count, lanes, k, bias);
  // What is left of a step meets zeros of A.
  const std::uint64_t words = (k + 3) / 4, padded = (k + step - 1) / step * fours;
  __builtin_memset(to + words * lanes, 0, (padded - words) * lanes * sizeof *to);
}

void narrow_i8(const Side& a, const std::uint32_t* b, std::uint64_t k, std::int32_t* c,
               std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t words = (k + step - 1) / step * fours;
  for (std::uint64_t r = 0; r < rows;) {
    const bool many = rows - r >= most_rows;
    for (std::uint64_t col = 0; col < cols; col += lanes) {
      (many ? multiply<most_rows>
            : multiply<1>)(static_cast<const std::int8_t*>(a.data) + r * a.stride, a.stride,
                           b + col * words, k, c + r * stride + col, stride,
                           least(lanes, cols - col));
    }
    r += many ? most_rows : 1;
  }
}

#endif

}  // namespace VOLT_ISA
}  // namespace volt::kernels
