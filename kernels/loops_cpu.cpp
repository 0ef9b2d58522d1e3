// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "diagonal_cpu.hpp"
#include "limbs_cpu.hpp"
#include "loops.hpp"
#include "map_cpu.hpp"
#include "narrow_cpu.hpp"
#include "network_loops_cpu.hpp"
#include "pack_cpu.hpp"
#include "quantise_cpu.hpp"
#include "tile_cpu.hpp"
#include "weigh_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// ---- tiles: `rows` by `vectors` vectors of C

// Fetches row `row` of the tile of C that comes next, the one below. Its address may lie beyond the
// matrix; nothing is read there. All rows at once would hold up the reads of A and B.
template <int rows, class T>
VOLT_VECTOR void prefetch_next(const T* c, std::uint64_t stride, std::uint64_t row) {
  if (row >= rows) return;
  const auto next = reinterpret_cast<std::uintptr_t>(c) + (rows + row) * stride * sizeof(T);
  __builtin_prefetch(reinterpret_cast<const void*>(next), 1);
  __builtin_prefetch(reinterpret_cast<const void*>(next + 4 * lanes), 1);
}

// Calls step() `count` times, and now and then fetches a row of what comes next.
template <int rows, class T, class Step>
VOLT_VECTOR void steps(std::uint64_t count, const T* c, std::uint64_t stride, Step step) {
  constexpr std::uint64_t apart = 16;
  for (std::uint64_t p = 0; p < count;) {
    prefetch_next<rows>(c, stride, p / apart);
    const std::uint64_t end = least(p + apart, count);
    for (; p < end; ++p) step();
  }
}

template <int rows, int vectors, class A>
static void tile_f32(A a, const float* b, std::uint64_t k, float* c, std::uint64_t stride) {
  Floats sum[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sum[r][v] = load<Floats>(c + r * stride + v * lanes);
  }
  steps<rows>(k, c, stride, [&] {
    Floats y[vectors];
    for (int v = 0; v < vectors; ++v) y[v] = load<Floats>(b + v * lanes);
    for (int r = 0; r < rows; ++r) {
      const Floats x = spread(a.at(r));
      for (int v = 0; v < vectors; ++v) sum[r][v] = fused(x, y[v], sum[r][v]);
    }
    a.next();
    b += tile_cols;
  });
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) store(c + r * stride + v * lanes, canonical(sum[r][v]));
  }
}

template <int rows, int vectors, class A>
static void tile_i8(A a, const std::uint32_t* b, const std::int32_t* start, std::uint64_t words,
                    std::int32_t* c, std::uint64_t stride) {
  Words sum[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] = load<Words>(c + r * stride + v * lanes) + started(a, start, r, v);
    }
  }
  steps<rows>(words, c, stride, [&] { dots(sum, a, b); });
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) store(c + r * stride + v * lanes, sum[r][v]);
  }
}

struct Groups {
  const std::int32_t* start;
  const float* scales_a;
  const float* scales_b;
  std::uint64_t words;
};

template <int rows, int vectors, class A>
static void tile_i8x(A a, const std::uint32_t* b, Groups groups, float* c, std::uint64_t stride) {
  // Side by side, where the rows of C would compete for the same places in the cache.
  float accumulator[rows * vectors * lanes];
  for (int r = 0; r < rows; ++r) {
    __builtin_memcpy(accumulator + r * vectors * lanes, c + r * stride,
                     vectors * lanes * sizeof *c);
  }
  std::uint64_t next = 0;
  for (std::uint64_t left = groups.words; left != 0;) {
    const std::uint64_t words = least(left, group_words);
    left -= words;
    Words sum[rows][vectors];
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < vectors; ++v) sum[r][v] = started(a, groups.start, r, v);
    }
    for (std::uint64_t w = 0; w < words; ++w) dots(sum, a, b);
    prefetch_next<rows>(c, stride, next++);
    for (int r = 0; r < rows; ++r) {
      const Floats scale_a = spread(groups.scales_a[r]);
      for (int v = 0; v < vectors; ++v) {
        float* const to = accumulator + (r * vectors + v) * lanes;
        const Floats scale = scale_a * load<Floats>(groups.scales_b + v * lanes);
        store(to, fused(to_floats(sum[r][v]), scale, load<Floats>(to)));
      }
    }
    groups.start += starts_of(a);
    groups.scales_a += tile_rows;
    groups.scales_b += tile_cols;
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      store(c + r * stride + v * lanes,
            canonical(load<Floats>(accumulator + (r * vectors + v) * lanes)));
    }
  }
}

// ---- blocks of tiles

static void block_f32(const float* a, const float* b, std::uint64_t k, float* c,
                      std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  on_tiles(c, stride, rows, cols,
           [&](auto height, auto vectors, std::uint64_t i, std::uint64_t j, float* tile,
               std::uint64_t tile_stride) {
             tile_f32<height.value, vectors.value>(Packed<float>{a + i * k * tile_rows},
                                                   b + j * k * tile_cols, k, tile, tile_stride);
           });
}

static void rows_f32(const float* a, std::uint64_t stride_a, const float* b, std::uint64_t k,
                     float* c, std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  on_tiles(c, stride, rows, cols,
           [&](auto height, auto vectors, std::uint64_t i, std::uint64_t j, float* tile,
               std::uint64_t tile_stride) {
             tile_f32<height.value, vectors.value>(
                 Direct<float>(a + i * tile_rows * stride_a, stride_a * sizeof *a),
                 b + j * k * tile_cols, k, tile, tile_stride);
           });
}

static void block_i8(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                     std::uint64_t words, std::int32_t* c, std::uint64_t stride, std::uint64_t rows,
                     std::uint64_t cols) {
  on_tiles(c, stride, rows, cols,
           [&](auto height, auto vectors, std::uint64_t i, std::uint64_t j, std::int32_t* tile,
               std::uint64_t tile_stride) {
             tile_i8<height.value, vectors.value>(Packed<std::uint32_t>{a + i * words * tile_rows},
                                                  b + j * words * tile_cols, start + j * tile_cols,
                                                  words, tile, tile_stride);
           });
}

static void block_i8x(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                      const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                      std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t groups = (words + group_words - 1) / group_words;
  on_tiles(c, stride, rows, cols,
           [&](auto height, auto vectors, std::uint64_t i, std::uint64_t j, float* tile,
               std::uint64_t tile_stride) {
             const Groups of_tile = {start + j * groups * tile_cols,
                                     scales_a + i * groups * tile_rows,
                                     scales_b + j * groups * tile_cols, words};
             tile_i8x<height.value, vectors.value>(Packed<std::uint32_t>{a + i * words * tile_rows},
                                                   b + j * words * tile_cols, of_tile, tile,
                                                   tile_stride);
           });
}

#if defined(__AVX512VNNI__)

static Direct<std::uint32_t> stored_rows(const Side& a, std::uint64_t i) {
  return {static_cast<const std::int8_t*>(a.data) + i * tile_rows * a.stride, a.stride};
}

static void rows_i8(const Side& a, const std::uint32_t* b, const std::int32_t* start,
                    std::uint64_t words, std::int32_t* c, std::uint64_t stride, std::uint64_t rows,
                    std::uint64_t cols) {
  on_tiles(c, stride, rows, cols,
           [&](auto height, auto vectors, std::uint64_t i, std::uint64_t j, std::int32_t* tile,
               std::uint64_t tile_stride) {
             tile_i8<height.value, vectors.value>(stored_rows(a, i), b + j * words * tile_cols,
                                                  start + i * tile_rows, words, tile, tile_stride);
           });
}

static void rows_i8x(const Side& a, const std::uint32_t* b, const std::int32_t* start,
                     const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                     std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t groups = (words + group_words - 1) / group_words;
  on_tiles(c, stride, rows, cols,
           [&](auto height, auto vectors, std::uint64_t i, std::uint64_t j, float* tile,
               std::uint64_t tile_stride) {
             const Groups of_tile = {start + i * groups * tile_rows,
                                     scales_a + i * groups * tile_rows,
                                     scales_b + j * groups * tile_cols, words};
             tile_i8x<height.value, vectors.value>(stored_rows(a, i), b + j * words * tile_cols,
                                                   of_tile, tile, tile_stride);
           });
}

#else

constexpr decltype(Loops::rows_i8) rows_i8 = nullptr;
constexpr decltype(Loops::rows_i8x) rows_i8x = nullptr;

#endif

}  // namespace VOLT_ISA

#define VOLT_JOIN_(a, b) a##b
#define VOLT_JOIN(a, b) VOLT_JOIN_(a, b)
#define VOLT_TEXT_(a) #a
#define VOLT_TEXT(a) VOLT_TEXT_(a)

const Loops VOLT_JOIN(loops_, VOLT_ISA) = {
    "cpu-" VOLT_TEXT(VOLT_ISA),
    tile_rows,
    tile_cols,
    unit,
    pack_f32,
    pack_i8_a,
    pack_i8_b,
    pack_narrow,
    block_f32,
    rows_f32,
    block_i8,
    narrow_i8,
    block_i8x,
    pack_i8_b_unsigned,
    sum_rows,
    rows_i8,
    rows_i8x,
    pack_limbs_a,
    pack_limbs_b,
    block_i8x2,
    diagonal_f32,
    diagonal_i8,
    pack_weights,
    weigh_rows,
    quantise_row,
    quantise_columns,
    quantise_limbs_row,
    quantise_limbs_columns,
    fill_f32,
    fill_i8,
    map,
    &network_loops,
};

}  // namespace volt::kernels
