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

// ---- packing

VOLT_VECTOR Side after(const Side& side, std::uint64_t k) {
  const auto* const data = static_cast<const std::int8_t*>(side.data);
  return {data + (side.k_contiguous ? k : k * side.stride), side.stride, side.k_contiguous};
}

void pack_limbs_a(std::uint32_t* to, const Side& high, const Side& low, std::uint64_t count,
                  std::uint64_t k) {
  for (std::uint64_t first = 0; first < k; first += group_size) {
    const std::uint64_t there = least(group_size, k - first);
    pack_i8_a(to, after(high, first), count, there);
    pack_i8_a(to + group_words * tile_rows, after(low, first), count, there);
    to += 2 * group_words * tile_rows;
  }
}

void pack_limbs_b(std::uint32_t* to, std::int32_t* start, const Side& high, const Side& low,
                  std::uint64_t count, std::uint64_t k) {
  for (std::uint64_t first = 0; first < k; first += group_size) {
    const std::uint64_t there = least(group_size, k - first);
    pack_i8_b(to, start, after(high, first), count, there, group_words);
    pack_i8_b(to + group_words * tile_cols, start + tile_cols, after(low, first), count, there,
              group_words);
    to += 2 * group_words * tile_cols;
    start += 2 * tile_cols;
  }
}

// ---- products

// A group of packed tiles, and those that follow it.
struct LimbGroups {
  const std::uint32_t *a, *b;
  const std::int32_t* start;
  const float *scales_a, *scales_b;

  const std::uint32_t* low_a() const { return a + group_words * tile_rows; }
  const std::uint32_t* low_b() const { return b + group_words * tile_cols; }
  const std::int32_t* start_low() const { return start + tile_cols; }
  VOLT_MEMBER void next() {
    a += 2 * group_words * tile_rows;
    b += 2 * group_words * tile_cols;
    start += 2 * tile_cols;
    scales_a += tile_rows;
    scales_b += tile_cols;
  }
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
VOLT_VECTOR void sum_limbs(float* value, const LimbGroups& group, std::uint64_t words) {
  Words sum[rows][vectors];
  begin(sum, group.start_low());
  add_dots(sum, group.low_a(), group.low_b(), words);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      store(value + (r * vectors + v) * lanes, to_floats(sum[r][v]));
    }
  }
  begin(sum, group.start);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sum[r][v] += load<Words>(group.start_low() + v * lanes);
  }
  add_dots(sum, group.a, group.low_b(), words);
  add_dots(sum, group.low_a(), group.b, words);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      float* const to = value + (r * vectors + v) * lanes;
      store(to, fused(to_floats(sum[r][v]), spread(128.0f), load<Floats>(to)));
    }
  }
  begin(sum, group.start);
  add_dots(sum, group.a, group.b, words);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      float* const to = value + (r * vectors + v) * lanes;
      store(to, fused(to_floats(sum[r][v]), spread(16384.0f), load<Floats>(to)));
    }
  }
}

template <int rows, int vectors>
static void tile_i8x2(LimbGroups group, std::uint64_t words, float* c, std::uint64_t stride) {
  // Side by side, where the rows of C would compete for the same places in the cache.
  float accumulator[rows * vectors * lanes], value[rows * vectors * lanes];
  for (int r = 0; r < rows; ++r) {
    __builtin_memcpy(accumulator + r * vectors * lanes, c + r * stride,
                     vectors * lanes * sizeof *c);
  }
  for (std::uint64_t done = 0; done < words; done += group_words, group.next()) {
    sum_limbs<rows, vectors>(value, group, least(group_words, words - done));
    for (int r = 0; r < rows; ++r) {
      const Floats scale_a = spread(group.scales_a[r]);
      for (int v = 0; v < vectors; ++v) {
        const int at = (r * vectors + v) * lanes;
        const Floats scale = scale_a * load<Floats>(group.scales_b + v * lanes);
        store(accumulator + at,
              fused(load<Floats>(value + at), scale, load<Floats>(accumulator + at)));
      }
    }
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
             const std::uint64_t before_a = i * groups * tile_rows;  // lanes of groups
             const std::uint64_t before_b = j * groups * tile_cols;
             tile_i8x2<height.value, vectors.value>(
                 {a + 2 * before_a * group_words, b + 2 * before_b * group_words,
                  start + 2 * before_b, scales_a + before_a, scales_b + before_b},
                 words, tile, tile_stride);
           });
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
