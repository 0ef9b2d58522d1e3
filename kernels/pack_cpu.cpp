// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "pack_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// ---- elements as words: an fp32 one each, int8 `unit` at a time

typedef std::int8_t HalfBytes __attribute__((vector_size(2 * lanes)));
typedef std::int16_t Halves __attribute__((vector_size(4 * lanes)));

VOLT_VECTOR Words row_words(const float* row) { return load<Words>(row); }

VOLT_VECTOR Words row_words(const std::int8_t* row) {
  return unit == 4 ? load<Words>(row)
                   : (Words) __builtin_convertvector(load<HalfBytes>(row), Halves);
}

VOLT_VECTOR std::uint32_t narrow(std::int8_t value) {
  return unit == 4 ? static_cast<std::uint8_t>(value)
                   : static_cast<std::uint16_t>(std::int16_t{value});
}

// The word of `count` elements that lie `step` apart; those missing are 0.
VOLT_VECTOR std::uint32_t word_of(const float* from, std::uint64_t, std::uint64_t) {
  return float_bits(*from);
}

VOLT_VECTOR std::uint32_t word_of(const std::int8_t* from, std::uint64_t step,
                                  std::uint64_t count) {
  std::uint32_t word = 0;
  for (std::uint64_t i = 0; i < count; ++i) word |= narrow(from[i * step]) << (i * (32 / unit));
  return word;
}

template <class T>
constexpr std::uint64_t per_word = sizeof(T) == 1 ? unit : 1;

// ---- lanes that are rows of the matrix: transposed in registers

// Words of `a` and `b` in turn, from `first` on.
template <int first, int... i>
VOLT_VECTOR Words interleaved(Words a, Words b, Places<i...>) {
  return (Words)__builtin_shufflevector(a, b, (first + i / 2 + i % 2 * lanes)...);
}

// log2(lanes) perfect shuffles of the rows turn rows into columns.
VOLT_VECTOR void transpose(Words (&rows)[lanes]) {
  typedef FirstPlaces<lanes>::Type All;
  for (int stage = 1; stage < lanes; stage *= 2) {
    Words next[lanes];
    for (int i = 0; i < lanes / 2; ++i) {
      next[2 * i] = interleaved<0>(rows[i], rows[i + lanes / 2], All{});
      next[2 * i + 1] = interleaved<lanes / 2>(rows[i], rows[i + lanes / 2], All{});
    }
    for (int i = 0; i < lanes; ++i) rows[i] = next[i];
  }
}

// `lanes` lanes or the fewer that the tile has left, `words` words of each; `flip` as in pack.
template <class T>
static void pack_rows(std::uint32_t* to, const T* from, std::uint64_t stride, std::uint64_t count,
                      std::uint64_t width, std::uint64_t room, std::uint64_t k,
                      std::uint32_t flip) {
  constexpr std::uint64_t unit_size = per_word<T>;
  const std::uint64_t words = (k + unit_size - 1) / unit_size, whole = k / unit_size;
  std::uint64_t w = 0;
  for (; w + lanes <= whole; w += lanes) {
    Words rows[lanes] = {};
    for (int lane = 0; lane < lanes; ++lane) {
      if (static_cast<std::uint64_t>(lane) < count) {
        rows[lane] = row_words(from + static_cast<std::uint64_t>(lane) * stride + w * unit_size);
      }
    }
    transpose(rows);
    for (int i = 0; i < lanes; ++i) {
      const Words flipped = rows[i] ^ spread(flip);
      std::uint32_t* const place = to + (w + static_cast<std::uint64_t>(i)) * width;
      if (room >= lanes) {
        store(place, flipped);
      } else {
        __builtin_memcpy(place, &flipped, tile_rows % lanes * sizeof *place);
      }
    }
  }
  const std::uint64_t wide = least(room, lanes);
  for (; w < words; ++w) {
    for (std::uint64_t lane = 0; lane < wide; ++lane) {
      const std::uint64_t at = w * unit_size;
      to[w * width + lane] =
          (lane < count ? word_of(from + lane * stride + at, 1, least(unit_size, k - at)) : 0) ^
          flip;
    }
  }
}

// ---- lanes that are columns of the matrix

typedef std::int8_t Chunk __attribute__((vector_size(16)));
typedef std::int16_t WideChunk __attribute__((vector_size(32)));

VOLT_VECTOR Chunk lower_bytes(Chunk a, Chunk b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

VOLT_VECTOR Chunk upper_bytes(Chunk a, Chunk b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}

VOLT_VECTOR Chunk lower_pairs(Chunk a, Chunk b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23);
}

VOLT_VECTOR Chunk upper_pairs(Chunk a, Chunk b) {
  return __builtin_shufflevector(a, b, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30,
                                 31);
}

// Columns that are packed at a time, into as many words.
template <class T>
constexpr std::uint64_t chunk = sizeof(T) == 1 ? 16 : lanes;

VOLT_VECTOR void store_columns(std::uint32_t* to, const float* from, std::uint64_t) {
  __builtin_memcpy(to, from, chunk<float> * sizeof *to);
}

VOLT_VECTOR void store_columns(std::uint32_t* to, const std::int8_t* from, std::uint64_t stride) {
  const Chunk a = load<Chunk>(from), b = load<Chunk>(from + stride);
  const Chunk left = lower_bytes(a, b), right = upper_bytes(a, b);
  if (unit == 2) {
    store(to, __builtin_convertvector(left, WideChunk));
    store(to + 8, __builtin_convertvector(right, WideChunk));
    return;
  }
  const Chunk c = load<Chunk>(from + 2 * stride), d = load<Chunk>(from + 3 * stride);
  const Chunk left_below = lower_bytes(c, d), right_below = upper_bytes(c, d);
  store(to, lower_pairs(left, left_below));
  store(to + 4, upper_pairs(left, left_below));
  store(to + 8, lower_pairs(right, right_below));
  store(to + 12, upper_pairs(right, right_below));
}

template <class T>
static void pack_columns(std::uint32_t* to, const T* from, std::uint64_t stride,
                         std::uint64_t count, std::uint64_t width, std::uint64_t k,
                         std::uint32_t flip) {
  constexpr std::uint64_t unit_size = per_word<T>;
  for (std::uint64_t at = 0; at < k; at += unit_size, to += width) {
    const T* const rows = from + at * stride;
    const std::uint64_t there = least(unit_size, k - at);
    std::uint64_t lane = 0;
    if (there == unit_size) {
      for (; lane + chunk<T> <= count; lane += chunk<T>) {
        store_columns(to + lane, rows + lane, stride);
        if (flip != 0) {
          for (std::uint64_t i = lane; i < lane + chunk<T>; ++i) to[i] ^= flip;
        }
      }
    }
    for (; lane < count; ++lane) to[lane] = word_of(rows + lane, stride, there) ^ flip;
    for (; lane < width; ++lane) to[lane] = flip;
  }
}

template <class T>
static void pack(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t width,
                 std::uint64_t k, std::uint32_t flip) {
  const T* const from = static_cast<const T*>(side.data);
  if (!side.k_contiguous) return pack_columns(to, from, side.stride, count, width, k, flip);
  for (std::uint64_t lane = 0; lane < width; lane += lanes) {
    pack_rows(to + lane, from + (lane < count ? lane * side.stride : 0), side.stride,
              lane < count ? count - lane : 0, width, width - lane, k, flip);
  }
}

void pack_f32(float* to, const Side& side, std::uint64_t count, std::uint64_t width,
              std::uint64_t k) {
  pack<float>(reinterpret_cast<std::uint32_t*>(to), side, count, width, k, 0);
}

void pack_i8(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t width,
             std::uint64_t k, std::uint32_t flip) {
  pack<std::int8_t>(to, side, count, width, k, flip);
}

void pack_i8_a(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t k) {
  pack_i8(to, side, count, tile_rows, k, bias);
}

#if defined(__AVX512VNNI__)

void pack_i8_b_unsigned(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t k) {
  pack_i8(to, side, count, tile_cols, k, bias);
}

typedef std::uint32_t Four __attribute__((vector_size(16)));

// The sum of each vector's words, by four exchanges.
VOLT_VECTOR Four sums_of(const Words (&v)[4]) {
  Words pairs[2];
  for (int i = 0; i < 2; ++i) {
    const Words a = v[2 * i], b = v[2 * i + 1];
    pairs[i] = (Words)__builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12,
                                              28, 14, 30) +
               (Words)__builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13,
                                              29, 15, 31);
  }
  const Words a = pairs[0], b = pairs[1];
  const Words all = (Words)__builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25,
                                                   12, 13, 28, 29) +
                    (Words)__builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27,
                                                   14, 15, 30, 31);
  return (Four)__builtin_shufflevector(all, all, 0, 1, 2, 3) +
         (Four)__builtin_shufflevector(all, all, 4, 5, 6, 7) +
         (Four)__builtin_shufflevector(all, all, 8, 9, 10, 11) +
         (Four)__builtin_shufflevector(all, all, 12, 13, 14, 15);
}

void sum_rows(std::int32_t* start, const Side& side, std::uint64_t count, std::uint64_t k,
              std::uint64_t width) {
  constexpr std::uint64_t step = sizeof(Words);
  static_assert(tile_rows % 4 == 0);
  const Words ones = spread(0x01010101u);
  for (std::uint64_t first = 0; first < count; first += 4) {
    const std::int8_t* rows[4];
    for (std::uint64_t i = 0; i < 4; ++i) {
      rows[i] =
          static_cast<const std::int8_t*>(side.data) + least(first + i, count - 1) * side.stride;
    }
    std::int32_t* to = start + first;
    for (std::uint64_t p = 0; p < k; p += width, to += tile_rows) {
      Words sum[4] = {};
      std::uint64_t at = p;
      const std::uint64_t end = least(p + width, k);
      for (; at + step <= end; at += step) {
        for (int i = 0; i < 4; ++i) sum[i] = dot(sum[i], ones, load<Words>(rows[i] + at));
      }
      if (at < end) {
        for (int i = 0; i < 4; ++i) {
          Words rest = {};
          __builtin_memcpy(&rest, rows[i] + at, end - at);
          sum[i] = dot(sum[i], ones, rest);
        }
      }
      store(to, -sums_of(sum) << 7);
    }
  }
}

#endif

void pack_i8_b(std::uint32_t* to, std::int32_t* start, const Side& side, std::uint64_t count,
               std::uint64_t k, std::uint64_t words_per_group) {
  pack_i8(to, side, count, tile_cols, k, 0);
  const std::uint64_t words = (k + unit - 1) / unit;
  for (std::uint64_t first = 0; first < words; first += words_per_group, start += tile_cols) {
    const std::uint64_t end = least(first + words_per_group, words);
    Words sum[2] = {};
    if (bias != 0) {
      for (std::uint64_t w = first; w < end; ++w) {
        sum[0] = dot(sum[0], spread(bias), load<Words>(to + w * tile_cols));
        sum[1] = dot(sum[1], spread(bias), load<Words>(to + w * tile_cols + lanes));
      }
    }
    store(start, -sum[0]);
    store(start + lanes, -sum[1]);
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
