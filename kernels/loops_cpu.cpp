// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "loops.hpp"
#include "pack_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr int group_size = 128;
constexpr std::uint64_t group_words = group_size / unit;

// ---- tiles

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

template <int rows>
static void tile_f32(const float* a, const float* b, std::uint64_t k, float* c,
                     std::uint64_t stride) {
  Floats sum[rows][2];
  for (int r = 0; r < rows; ++r) {
    sum[r][0] = load<Floats>(c + r * stride);
    sum[r][1] = load<Floats>(c + r * stride + lanes);
  }
  steps<rows>(k, c, stride, [&] {
    const Floats b0 = load<Floats>(b), b1 = load<Floats>(b + lanes);
    for (int r = 0; r < rows; ++r) {
      const Floats x = spread(a[r]);
      sum[r][0] = fused(x, b0, sum[r][0]);
      sum[r][1] = fused(x, b1, sum[r][1]);
    }
    a += tile_rows, b += tile_cols;
  });
  for (int r = 0; r < rows; ++r) {
    store(c + r * stride, canonical(sum[r][0]));
    store(c + r * stride + lanes, canonical(sum[r][1]));
  }
}

template <int rows>
VOLT_VECTOR void dots(Words (&sum)[rows][2], const std::uint32_t*& a, const std::uint32_t*& b) {
  const Words b0 = load<Words>(b), b1 = load<Words>(b + lanes);
  for (int r = 0; r < rows; ++r) {
    const Words x = spread(a[r]);
    sum[r][0] = dot(sum[r][0], x, b0);
    sum[r][1] = dot(sum[r][1], x, b1);
  }
  a += tile_rows, b += tile_cols;
}

template <int rows>
static void tile_i8(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                    std::uint64_t words, std::int32_t* c, std::uint64_t stride) {
  Words sum[rows][2];
  for (int r = 0; r < rows; ++r) {
    sum[r][0] = load<Words>(c + r * stride) + load<Words>(start);
    sum[r][1] = load<Words>(c + r * stride + lanes) + load<Words>(start + lanes);
  }
  steps<rows>(words, c, stride, [&] { dots<rows>(sum, a, b); });
  for (int r = 0; r < rows; ++r) {
    store(c + r * stride, sum[r][0]);
    store(c + r * stride + lanes, sum[r][1]);
  }
}

struct Groups {
  const std::int32_t* start;
  const float* scales_a;
  const float* scales_b;
  std::uint64_t words;
};

template <int rows>
static void tile_i8x(const std::uint32_t* a, const std::uint32_t* b, Groups groups, float* c,
                     std::uint64_t stride) {
  std::uint64_t next = 0;
  for (std::uint64_t left = groups.words; left != 0;) {
    const std::uint64_t words = least(left, group_words);
    left -= words;
    Words sum[rows][2];
    for (int r = 0; r < rows; ++r) {
      sum[r][0] = load<Words>(groups.start);
      sum[r][1] = load<Words>(groups.start + lanes);
    }
    for (std::uint64_t w = 0; w < words; ++w) dots<rows>(sum, a, b);
    for (int i = 0; i < 2; ++i) prefetch_next<rows>(c, stride, next++);
    const Floats scale_b0 = load<Floats>(groups.scales_b);
    const Floats scale_b1 = load<Floats>(groups.scales_b + lanes);
    for (int r = 0; r < rows; ++r) {
      const Floats scale_a = spread(groups.scales_a[r]);
      float* const to = c + r * stride;
      const Floats c0 = fused(to_floats(sum[r][0]), scale_a * scale_b0, load<Floats>(to));
      const Floats c1 = fused(to_floats(sum[r][1]), scale_a * scale_b1, load<Floats>(to + lanes));
      // NaNs stay NaNs, so that the last group is time enough to make them the one.
      store(to, left == 0 ? canonical(c0) : c0);
      store(to + lanes, left == 0 ? canonical(c1) : c1);
    }
    groups.start += tile_cols;
    groups.scales_a += tile_rows;
    groups.scales_b += tile_cols;
  }
}

// ---- blocks of tiles

// Calls `run` with the tile of C at (row, col); where it hangs over the edge, with a copy of it.
template <class T, class Run>
VOLT_VECTOR void on_tile(T* c, std::uint64_t stride, std::uint64_t rows, std::uint64_t cols,
                         Run run) {
  const std::uint64_t height = rows > 4 ? tile_rows : rows > 2 ? 4 : rows;
  if (rows == height && cols == tile_cols) {
    run(height, c, stride);
    return;
  }
  T edge[tile_rows * tile_cols] = {};
  for (std::uint64_t r = 0; r < rows; ++r) {
    __builtin_memcpy(edge + r * tile_cols, c + r * stride, cols * sizeof(T));
  }
  run(height, edge, std::uint64_t{tile_cols});
  for (std::uint64_t r = 0; r < rows; ++r) {
    __builtin_memcpy(c + r * stride, edge + r * tile_cols, cols * sizeof(T));
  }
}

// B's tile stays in the first-level cache while A's tiles go by.
template <class T, class Run>
VOLT_VECTOR void on_block(T* c, std::uint64_t stride, std::uint64_t rows, std::uint64_t cols,
                          Run run) {
  for (std::uint64_t col = 0; col < cols; col += tile_cols) {
    for (std::uint64_t row = 0; row < rows; row += tile_rows) {
      on_tile(c + row * stride + col, stride, least(rows - row, tile_rows),
              least(cols - col, tile_cols),
              [&](std::uint64_t height, T* tile, std::uint64_t tile_stride) {
                run(row / tile_rows, col / tile_cols, height, tile, tile_stride);
              });
    }
  }
}

#define VOLT_BY_HEIGHT(height, function, ...) \
  switch (height) {                           \
    case 1:                                   \
      function<1>(__VA_ARGS__);               \
      break;                                  \
    case 2:                                   \
      function<2>(__VA_ARGS__);               \
      break;                                  \
    case 4:                                   \
      function<4>(__VA_ARGS__);               \
      break;                                  \
    default:                                  \
      function<tile_rows>(__VA_ARGS__);       \
      break;                                  \
  }

static void block_f32(const float* a, const float* b, std::uint64_t k, float* c,
                      std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  on_block(c, stride, rows, cols,
           [&](std::uint64_t i, std::uint64_t j, std::uint64_t height, float* tile,
               std::uint64_t tile_stride) {
             VOLT_BY_HEIGHT(height, tile_f32, a + i * k * tile_rows, b + j * k * tile_cols, k, tile,
                            tile_stride)
           });
}

static void block_i8(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                     std::uint64_t words, std::int32_t* c, std::uint64_t stride, std::uint64_t rows,
                     std::uint64_t cols) {
  on_block(c, stride, rows, cols,
           [&](std::uint64_t i, std::uint64_t j, std::uint64_t height, std::int32_t* tile,
               std::uint64_t tile_stride) {
             VOLT_BY_HEIGHT(height, tile_i8, a + i * words * tile_rows, b + j * words * tile_cols,
                            start + j * tile_cols, words, tile, tile_stride)
           });
}

static void block_i8x(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                      const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                      std::uint64_t stride, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t groups = (words + group_words - 1) / group_words;
  on_block(c, stride, rows, cols,
           [&](std::uint64_t i, std::uint64_t j, std::uint64_t height, float* tile,
               std::uint64_t tile_stride) {
             const Groups of_tile = {start + j * groups * tile_cols,
                                     scales_a + i * groups * tile_rows,
                                     scales_b + j * groups * tile_cols, words};
             VOLT_BY_HEIGHT(height, tile_i8x, a + i * words * tile_rows, b + j * words * tile_cols,
                            of_tile, tile, tile_stride)
           });
}

// ---- quantise

static void quantise_row(const float* x, std::uint64_t cols, std::int8_t* q, float* scales) {
  for (std::uint64_t first = 0; first < cols; first += group_size) {
    const std::uint64_t end = least(first + group_size, cols);
    std::uint32_t amax = 0;
    for (std::uint64_t i = first; i < end; ++i) {
      const std::uint32_t bits = magnitude_bits(x[i]);
      amax = bits > amax ? bits : amax;
    }
    const GroupScale scale = group_scale(amax);
    *scales++ = scale.scale;
    if (scale.keep) {
      for (std::uint64_t i = first; i < end; ++i) q[i] = quantise_one(x[i], scale);
    } else {
      __builtin_memset(q + first, 0, end - first);
    }
  }
}

static void quantise_columns(const float* x, std::uint64_t stride, std::uint64_t rows,
                             std::uint64_t cols, std::int8_t* q, std::uint64_t q_stride,
                             float* scales) {
  constexpr std::uint64_t batch = 64;
  for (std::uint64_t first = 0; first < cols; first += batch) {
    const std::uint64_t count = least(batch, cols - first);
    std::uint32_t amax[batch] = {};
    for (std::uint64_t r = 0; r < rows; ++r) {
      const float* row = x + r * stride + first;
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint32_t bits = magnitude_bits(row[i]);
        amax[i] = bits > amax[i] ? bits : amax[i];
      }
    }
    float inverse[batch];
    std::uint32_t keep[batch];  // a mask, so that the loop below has no branch
    for (std::uint64_t i = 0; i < count; ++i) {
      const GroupScale scale = group_scale(amax[i]);
      scales[first + i] = scale.scale;
      inverse[i] = scale.inverse;
      keep[i] = scale.keep ? 0xffffffffu : 0;
    }
    for (std::uint64_t r = 0; r < rows; ++r) {
      const float* row = x + r * stride + first;
      std::int8_t* to = q + r * q_stride + first;
      for (std::uint64_t i = 0; i < count; ++i) {
        const float kept = bits_float(float_bits(row[i]) & keep[i]);
        to[i] = quantise_one(kept, {0.0f, inverse[i], true});
      }
    }
  }
}

// ---- random numbers

constexpr std::uint64_t batch_words = 64;

// Words [4 * block, 4 * block + 64) of a stream.
static void random_words(std::uint32_t (&words)[batch_words], std::uint64_t seed,
                         std::uint32_t stream, std::uint64_t block) {
  for (std::uint64_t i = 0; i < batch_words / 4; ++i) {
    const PhiloxBlock random = random_block(seed, stream, block + i);
    for (std::uint64_t j = 0; j < 4; ++j) words[4 * i + j] = random.word[j];
  }
}

static void fill_f32(float* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
                     std::uint64_t first) {
  std::uint32_t words[batch_words];
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t element = first + done;
    const std::uint64_t skip = element % 4;
    const std::uint64_t take = least(batch_words - skip, count - done);
    random_words(words, seed, stream, element / 4);
    for (std::uint64_t i = 0; i < take; ++i) to[done + i] = word_to_f32(words[skip + i]);
    done += take;
  }
}

static void fill_i8(std::int8_t* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
                    std::uint64_t first) {
  std::uint32_t words[batch_words];
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t element = first + done;
    const std::uint64_t skip = element % 16;
    const std::uint64_t take = least(4 * batch_words - skip, count - done);
    random_words(words, seed, stream, element / 16);
    for (std::uint64_t i = 0; i < take; ++i) {
      const std::uint64_t byte = skip + i;
      to[done + i] = word_to_i8(words[byte / 4], static_cast<unsigned>(byte % 4));
    }
    done += take;
  }
}

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
    block_f32,
    block_i8,
    block_i8x,
    quantise_row,
    quantise_columns,
    fill_f32,
    fill_i8,
};

}  // namespace volt::kernels
