// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "limbs_cpu.hpp"

#include "tile_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// ---- quantise

// Of a group.
VOLT_VECTOR std::uint32_t largest_magnitude(const float* x, std::uint64_t count) {
  std::uint32_t amax = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = magnitude_bits(x[i]);
    amax = bits > amax ? bits : amax;
  }
  return amax;
}

void quantise_limbs_row(const float* x, std::uint64_t cols, std::uint64_t width, std::int8_t* high,
                        std::int8_t* low, float* scales) {
  for (std::uint64_t first = 0; first < cols; first += width) {
    const std::uint64_t count = least(width, cols - first);
    const GroupScale scale = group_scale(largest_magnitude(x + first, count), most_limbs);
    *scales++ = scale.scale;
    if (scale.keep) {
      for (std::uint64_t i = first; i < first + count; ++i) {
        const Limbs limbs = limbs_of(quantise_whole(x[i], scale));
        high[i] = limbs.high;
        low[i] = limbs.low;
      }
    } else {
      __builtin_memset(high + first, 0, count);
      __builtin_memset(low + first, 0, count);
    }
  }
}

void quantise_limbs_columns(const float* x, std::uint64_t stride, std::uint64_t rows,
                            std::uint64_t cols, std::int8_t* high, std::int8_t* low,
                            std::uint64_t stride_high, std::uint64_t stride_low, float* scales) {
  constexpr std::uint64_t batch = 64;
  for (std::uint64_t first = 0; first < cols; first += batch) {
    const std::uint64_t count = least(batch, cols - first);
    std::uint32_t amax[batch] = {};
    for (std::uint64_t r = 0; r < rows; ++r) {
      const float* const from = x + r * stride + first;
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint32_t bits = magnitude_bits(from[i]);
        amax[i] = bits > amax[i] ? bits : amax[i];
      }
    }
    float inverse[batch];
    std::uint32_t keep[batch];  // a mask, so that the loop below has no branch
    for (std::uint64_t i = 0; i < count; ++i) {
      const GroupScale scale = group_scale(amax[i], most_limbs);
      scales[first + i] = scale.scale;
      inverse[i] = scale.inverse;
      keep[i] = scale.keep ? 0xffffffffu : 0;
    }
    for (std::uint64_t r = 0; r < rows; ++r) {
      const float* const from = x + r * stride + first;
      for (std::uint64_t i = 0; i < count; ++i) {
        const float kept = bits_float(float_bits(from[i]) & keep[i]);
        const Limbs limbs = limbs_of(quantise_whole(kept, {0.0f, inverse[i], true}));
        high[r * stride_high + first + i] = limbs.high;
        low[r * stride_low + first + i] = limbs.low;
      }
    }
  }
}

// ---- products

// One operand's tile: words of its high limbs, and of its low ones.
struct LimbWords {
  const std::uint32_t *high, *low;
};

struct LimbGroups {
  const std::int32_t *start_high, *start_low;
  const float* scales_a;
  const float* scales_b;
  std::uint64_t words;
};

template <int rows, int vectors>
VOLT_VECTOR void begin(Words (&sum)[rows][vectors], const std::int32_t* start) {
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sum[r][v] = load<Words>(start + v * lanes);
  }
}

// sum += the product of `words` words.
template <int rows, int vectors>
VOLT_VECTOR void add_dots(Words (&sum)[rows][vectors], const std::uint32_t* a,
                          const std::uint32_t* b, std::uint64_t words) {
  Packed<std::uint32_t> source = {a};
  for (std::uint64_t w = 0; w < words; ++w) dots(sum, source, b);
}

// What the sums of a group come to, limb by limb from the lowest: `value` is memory, for registers
// hold the sums.
template <int rows, int vectors>
VOLT_VECTOR void sum_limbs(float* value, LimbWords a, LimbWords b, const LimbGroups& groups,
                           std::uint64_t words) {
  Words sum[rows][vectors];
  begin(sum, groups.start_low);
  add_dots(sum, a.low, b.low, words);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      store(value + (r * vectors + v) * lanes, to_floats(sum[r][v]));
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] =
          load<Words>(groups.start_low + v * lanes) + load<Words>(groups.start_high + v * lanes);
    }
  }
  add_dots(sum, a.high, b.low, words);
  add_dots(sum, a.low, b.high, words);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      float* const to = value + (r * vectors + v) * lanes;
      store(to, fused(to_floats(sum[r][v]), spread(128.0f), load<Floats>(to)));
    }
  }
  begin(sum, groups.start_high);
  add_dots(sum, a.high, b.high, words);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      float* const to = value + (r * vectors + v) * lanes;
      store(to, fused(to_floats(sum[r][v]), spread(16384.0f), load<Floats>(to)));
    }
  }
}

template <int rows, int vectors>
static void tile_i8x2(LimbWords a, LimbWords b, LimbGroups groups, float* c, std::uint64_t stride) {
  // Side by side, where the rows of C would compete for the same places in the cache.
  float accumulator[rows * vectors * lanes], value[rows * vectors * lanes];
  for (int r = 0; r < rows; ++r) {
    __builtin_memcpy(accumulator + r * vectors * lanes, c + r * stride,
                     vectors * lanes * sizeof *c);
  }
  for (std::uint64_t left = groups.words; left != 0;) {
    const std::uint64_t words = least(left, group_words);
    left -= words;
    sum_limbs<rows, vectors>(value, a, b, groups, words);
    for (int r = 0; r < rows; ++r) {
      const Floats scale_a = spread(groups.scales_a[r]);
      for (int v = 0; v < vectors; ++v) {
        const int at = (r * vectors + v) * lanes;
        const Floats scale = scale_a * load<Floats>(groups.scales_b + v * lanes);
        store(accumulator + at,
              fused(load<Floats>(value + at), scale, load<Floats>(accumulator + at)));
      }
    }
    a.high += words * tile_rows, a.low += words * tile_rows;
    b.high += words * tile_cols, b.low += words * tile_cols;
    groups.start_high += tile_cols, groups.start_low += tile_cols;
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

void block_i8x2(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t groups = (words + group_words - 1) / group_words;
  on_tiles(c, stride, rows, cols,
           [&](auto height, auto vectors, std::uint64_t i, std::uint64_t j, float* tile,
               std::uint64_t tile_stride) {
             const std::uint32_t* const tile_a = a + 2 * i * words * tile_rows;
             const std::uint32_t* const tile_b = b + 2 * j * words * tile_cols;
             const std::int32_t* const tile_start = start + 2 * j * groups * tile_cols;
             const LimbGroups of_tile = {tile_start, tile_start + groups * tile_cols,
                                         scales_a + i * groups * tile_rows,
                                         scales_b + j * groups * tile_cols, words};
             tile_i8x2<height.value, vectors.value>({tile_a, tile_a + words * tile_rows},
                                                    {tile_b, tile_b + words * tile_cols}, of_tile,
                                                    tile, tile_stride);
           });
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
