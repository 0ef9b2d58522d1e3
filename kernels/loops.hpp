// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// The inner loops of the CPU backend, compiled once per instruction set from loops_cpu.cpp and
/// the files that it includes. Plain pointers: everything has been checked before. Nothing here may
/// be an inline function.
namespace volt::kernels {

enum class Function : std::int32_t;
struct NetworkLoops;

/// One side of a product, cut into tiles of `width` lanes (rows of A or columns of B).
struct Side {
  const void* data;      ///< element (lane 0, k 0)
  std::uint64_t stride;  ///< of the matrix, in elements
  bool k_contiguous;     ///< lanes are rows of the matrix; otherwise they are its columns
};

constexpr std::uint64_t most_narrow = 32;  ///< columns of narrow_i8
constexpr std::uint64_t most_weight_parts = 3;

struct Loops {
  const char* name;  ///< "cpu-v3"
  std::uint32_t tile_rows;
  std::uint32_t tile_cols;
  std::uint32_t unit;  ///< int8 elements along k in one packed 32-bit word

  /// Packs `lanes` (at most `width`, the rest become 0) x `k` into k x width.
  void (*pack_f32)(float* to, const Side& side, std::uint64_t lanes, std::uint64_t width,
                   std::uint64_t k);
  /// Packs to words of `unit` elements; `k` is padded with 0 to whole words. For side B also gives,
  /// per group of `group_words` words, the sums that the inner product starts from.
  void (*pack_i8_a)(std::uint32_t* to, const Side& side, std::uint64_t lanes, std::uint64_t k);
  void (*pack_i8_b)(std::uint32_t* to, std::int32_t* start, const Side& side, std::uint64_t lanes,
                    std::uint64_t k, std::uint64_t group_words);

  /// Up to 16 lanes of side B for narrow_i8, which takes as many words for each four elements of k,
  /// padded to a multiple of 64.
  void (*pack_narrow)(std::uint32_t* to, const Side& side, std::uint64_t lanes, std::uint64_t k);

  /// rows x cols elements of C from packed tiles, each `k` (or `words`) long.
  void (*block_f32)(const float* a, const float* b, std::uint64_t k, float* c, std::uint64_t stride,
                    std::uint64_t rows, std::uint64_t cols);
  /// The same with A as it is stored, k along its rows: for so few columns that packing A would
  /// take longer than multiplying.
  void (*rows_f32)(const float* a, std::uint64_t stride_a, const float* b, std::uint64_t k,
                   float* c, std::uint64_t stride, std::uint64_t rows, std::uint64_t cols);
  void (*block_i8)(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                   std::uint64_t words, std::int32_t* c, std::uint64_t stride, std::uint64_t rows,
                   std::uint64_t cols);
  /// As rows_f32, with B from pack_narrow. Both are null where the instruction set has no product
  /// of int8 as they are stored.
  void (*narrow_i8)(const Side& a, const std::uint32_t* b, std::uint64_t k, std::int32_t* c,
                    std::uint64_t stride, std::uint64_t rows, std::uint64_t cols);
  /// Scales are packed as the tiles are: per tile, group x lane; likewise `start`.
  void (*block_i8x)(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                    const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                    std::uint64_t stride, std::uint64_t rows, std::uint64_t cols);

  /// As block_i8 and block_i8x with A, k along its rows, as it is stored, and B from
  /// pack_i8_b_unsigned, which makes its elements unsigned by adding 128. `start`, packed as scales
  /// of A are, has from sum_rows what that adds, taken off: -128 times the sum of each `width`
  /// elements of a row. All null where the instruction set has no product of int8 as stored.
  void (*pack_i8_b_unsigned)(std::uint32_t* to, const Side& side, std::uint64_t lanes,
                             std::uint64_t k);
  void (*sum_rows)(std::int32_t* start, const Side& side, std::uint64_t lanes, std::uint64_t k,
                   std::uint64_t width);
  void (*rows_i8)(const Side& a, const std::uint32_t* b, const std::int32_t* start,
                  std::uint64_t words, std::int32_t* c, std::uint64_t stride, std::uint64_t rows,
                  std::uint64_t cols);
  void (*rows_i8x)(const Side& a, const std::uint32_t* b, const std::int32_t* start,
                   const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                   std::uint64_t stride, std::uint64_t rows, std::uint64_t cols);

  /// Of two limbs: for each group of 128 along k, whole or not, room for the words of the high
  /// limbs and then for those of the low ones, and alike what their products start from.
  void (*pack_limbs_a)(std::uint32_t* to, const Side& high, const Side& low, std::uint64_t lanes,
                       std::uint64_t k);
  void (*pack_limbs_b)(std::uint32_t* to, std::int32_t* start, const Side& high, const Side& low,
                       std::uint64_t lanes, std::uint64_t k);
  /// As block_i8x, of such tiles.
  void (*block_i8x2)(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                     const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                     std::uint64_t stride, std::uint64_t rows, std::uint64_t cols);

  /// c[i * stride] += the product of lane i of A with lane i of B, `count` lanes.
  void (*diagonal_f32)(const Side& a, const Side& b, std::uint64_t count, std::uint64_t k, float* c,
                       std::uint64_t stride);
  void (*diagonal_i8)(const Side& a, const Side& b, std::uint64_t count, std::uint64_t k,
                      std::int32_t* c, std::uint64_t stride);

  /// The weights of `count` columns for weigh_rows, which has room for `most_weight_parts` words
  /// of each weight, of columns up to a multiple of 16.
  void (*pack_weights)(std::uint64_t* to, const std::uint64_t* weights, std::uint64_t stride,
                       std::uint64_t count);
  /// Adds sums of x + 2^31, as `weigh` has them.
  void (*weigh_rows)(const std::int32_t* x, std::uint64_t stride, const std::uint64_t* weights,
                     std::uint64_t count, std::uint64_t* sums, std::uint64_t stride_sums,
                     std::uint64_t rows);

  /// One row in groups along it; `cols` elements.
  void (*quantise_row)(const float* x, std::uint64_t cols, std::int8_t* q, float* scales);
  /// One group of up to 128 rows in columns of it.
  void (*quantise_columns)(const float* x, std::uint64_t stride, std::uint64_t rows,
                           std::uint64_t cols, std::int8_t* q, std::uint64_t q_stride,
                           float* scales);

  /// The same in two limbs; of a row, groups have `width` elements.
  void (*quantise_limbs_row)(const float* x, std::uint64_t cols, std::uint64_t width,
                             std::int8_t* high, std::int8_t* low, float* scales);
  void (*quantise_limbs_columns)(const float* x, std::uint64_t stride, std::uint64_t rows,
                                 std::uint64_t cols, std::int8_t* high, std::int8_t* low,
                                 std::uint64_t stride_high, std::uint64_t stride_low,
                                 float* scales);

  void (*fill_f32)(float* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
                   std::uint64_t first);
  void (*fill_i8)(std::int8_t* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
                  std::uint64_t first);

  /// Elements [first, first + count) of y from those of x, in the types that the function takes.
  void (*map)(Function function, const void* x, void* y, std::uint64_t first, std::uint64_t count);

  const NetworkLoops* network;
};

extern const Loops loops_baseline;
extern const Loops loops_v3;    ///< x86-64-v3: AVX2 and FMA
extern const Loops loops_v4;    ///< x86-64-v4: AVX-512 F, BW, CD, DQ, VL
extern const Loops loops_vnni;  ///< v4 and AVX-512 VNNI

}  // namespace volt::kernels
