// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "weigh_cpu.hpp"

#include "backend.hpp"
#include "pack_cpu.hpp"
#include "vector_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

typedef std::uint64_t Longs __attribute__((vector_size(4 * lanes)));

constexpr int half = lanes / 2;  // elements of 64 bits

// Elements are made unsigned, x + 2^31, which the caller takes off. A weight is cut into parts,
// so that products with them fit into `parts` sums, of which sum i counts 2^(bits * i). Of these,
// 64 bits hold `most_columns` columns, all lanes together.
#if defined(__AVX512IFMA__)
constexpr int parts = 2, bits = 52;  // the upper halves of 104 bits join those of the next part
constexpr int tile = 4;              // rows
constexpr std::uint64_t most_columns = 4096;
#else
constexpr int parts = 3, bits = 22;
constexpr int tile = lanes == 16 ? 3 : 1;
constexpr std::uint64_t most_columns = 1024;
#endif
static_assert(parts <= most_weight_parts);

VOLT_VECTOR std::uint64_t part(std::uint64_t weight, int i) {
  return weight >> (bits * i) & ((std::uint64_t{1} << bits) - 1);
}

// Adds the products of elements below 2^32 and weights' parts.
VOLT_VECTOR void add_products(Longs (&sum)[parts], Longs x, const Longs (&weight)[parts]) {
#if defined(__AVX512IFMA__)
  sum[0] = (Longs)_mm512_madd52lo_epu64((__m512i)sum[0], (__m512i)x, (__m512i)weight[0]);
  sum[1] = (Longs)_mm512_madd52hi_epu64((__m512i)sum[1], (__m512i)x, (__m512i)weight[0]);
  sum[1] = (Longs)_mm512_madd52lo_epu64((__m512i)sum[1], (__m512i)x, (__m512i)weight[1]);
#else
#pragma GCC unroll 3
  for (int i = 0; i < parts; ++i) {
#if defined(__AVX512F__)
    sum[i] += (Longs)_mm512_maskz_mul_epu32(0xff, (__m512i)x, (__m512i)weight[i]);
#elif defined(__AVX2__) && defined(__FMA__)
    sum[i] += (Longs)_mm256_mul_epu32((__m256i)x, (__m256i)weight[i]);
#elif defined(__SSE2__)
    sum[i] += (Longs)_mm_mul_epu32((__m128i)x, (__m128i)weight[i]);
#else
    sum[i] += x * weight[i];
#endif
  }
#endif
}

// For every `lanes` columns, the even ones of them and then the odd: of each vector of weights, its
// parts, a column a lane.
void pack_weights(std::uint64_t* to, const std::uint64_t* weights, std::uint64_t stride,
                  std::uint64_t count) {
  for (std::uint64_t first = 0; first < count; first += lanes) {
    for (std::uint64_t odd = 0; odd < 2; ++odd) {
      for (std::uint64_t v = 0; v < weight_vectors; ++v) {
        for (int i = 0; i < parts; ++i) {
          for (std::uint64_t l = 0; l < half; ++l) {
            const std::uint64_t column = first + 2 * l + odd;
            *to++ = column < count ? part(weights[column * stride + v], i) : 0;
          }
        }
      }
    }
  }
}

constexpr std::uint64_t packed_step = 2 * weight_vectors * parts * half;  // of `lanes` columns

// Of `rows` rows and `count` columns, a multiple of `lanes`.
template <int rows>
VOLT_VECTOR void add_steps(Longs (&sum)[rows][weight_vectors][parts], const std::int32_t* x,
                           std::uint64_t stride, const std::uint64_t* weights,
                           std::uint64_t count) {
  const Words sign = spread(0x80000000u);
  const Longs low = 0xffff'ffff + Longs{};
  for (std::uint64_t c = 0; c < count; c += lanes) {
    const std::uint64_t ahead = to_prefetch(4 * c, 4 * count, 4 * rows * stride);
    Longs pairs[rows];
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      const std::int32_t* const from = x + static_cast<std::uint64_t>(r) * stride + c;
      pairs[r] = (Longs)(load<Words>(from) ^ sign);
      prefetch(from, ahead);
    }
#pragma GCC unroll 2
    for (int odd = 0; odd < 2; ++odd) {
      Longs elements[rows];
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) elements[r] = odd != 0 ? pairs[r] >> 32 : pairs[r] & low;
#pragma GCC unroll 2
      for (std::uint64_t v = 0; v < weight_vectors; ++v) {
        Longs weight[parts];
#pragma GCC unroll 3
        for (int i = 0; i < parts; ++i, weights += half) {
          weight[i] = load<Longs>(weights);
#if defined(__x86_64__)
          __asm__("" : "+v"(weight[i]));  // or gcc reads it once for each row
#endif
        }
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) add_products(sum[r][v], elements[r], weight);
      }
    }
  }
}

__extension__ typedef unsigned __int128 Wide;

VOLT_VECTOR Wide total(const Longs (&sum)[parts]) {
  Wide all = 0;
  for (int i = 0; i < parts; ++i) {
    std::uint64_t lane = 0;
    for (int l = 0; l < half; ++l) lane += sum[i][l];
    all += static_cast<Wide>(lane) << (bits * i);
  }
  return all;
}

// Adds what `count` columns come to, at most `most_columns`.
template <int rows>
static void add_columns(const std::int32_t* x, std::uint64_t stride, const std::uint64_t* weights,
                        std::uint64_t count, std::uint64_t* sums, std::uint64_t stride_sums) {
  Longs sum[rows][weight_vectors][parts] = {};
  const std::uint64_t left = count % lanes, whole = count - left;
  add_steps<rows>(sum, x, stride, weights, whole);
  if (left != 0) {
    // What is left is padded with elements that meet weights of 0.
    std::int32_t end[rows * lanes] = {};
    for (int r = 0; r < rows; ++r) {
      __builtin_memcpy(end + r * lanes, x + static_cast<std::uint64_t>(r) * stride + whole,
                       left * sizeof *end);
    }
    add_steps<rows>(sum, end, lanes, weights + whole / lanes * packed_step, lanes);
  }
  for (int r = 0; r < rows; ++r) {
    for (std::uint64_t v = 0; v < weight_vectors; ++v) {
      std::uint64_t* const to = sums + static_cast<std::uint64_t>(r) * stride_sums + 2 * v;
      const Wide all = total(sum[r][v]) + (static_cast<Wide>(to[1]) << 64 | to[0]);
      to[0] = static_cast<std::uint64_t>(all);
      to[1] = static_cast<std::uint64_t>(all >> 64);
    }
  }
}

void weigh_rows(const std::int32_t* x, std::uint64_t stride, const std::uint64_t* weights,
                std::uint64_t count, std::uint64_t* sums, std::uint64_t stride_sums,
                std::uint64_t rows) {
  for (std::uint64_t c = 0; c < count; c += most_columns) {
    const std::uint64_t* const packed = weights + c / lanes * packed_step;
    const std::uint64_t some = least(most_columns, count - c);
    std::uint64_t r = 0;
    for (; r + tile <= rows; r += tile) {
      add_columns<tile>(x + r * stride + c, stride, packed, some, sums + r * stride_sums,
                        stride_sums);
    }
    for (; r < rows; ++r) {
      add_columns<1>(x + r * stride + c, stride, packed, some, sums + r * stride_sums, stride_sums);
    }
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
