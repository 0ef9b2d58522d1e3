// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "network.hpp"

/// The inner loops of the operations of network.hpp, compiled once per instruction set, as those of
/// loops.hpp are and under their rules. An operation is cut into blocks; how, changes no bit.
namespace volt::kernels {

/// Rows and columns of a job's matrices.
struct Block {
  std::uint64_t row, rows, col, cols;
};

/// A head of keys and values over one sample. An operand is packed `across`: per tile of keys (the
/// `tile_cols` of Loops), column x key, the missing keys 0; or `down`: per tile of columns,
/// key x column.
struct SampleHead {
  std::uint64_t kv_head;
  std::uint64_t first, keys;  ///< rows of k
  const float *k_across, *k_down, *v_across, *v_down;
};

/// Queries [begin, end) of a head, as rows of k, and what the backward pass has of them: p and ds
/// are query x key; q and dout are packed, per tile of columns, query x column.
struct Stripe {
  std::uint64_t head, begin, end;
  float *p, *ds;
  std::uint64_t stride;  ///< of p and ds
  float *q, *dout;
};

/// Side B of a product of limbs, as block_i8x2 takes it.
struct PackedLimbs {
  std::uint32_t* words;
  std::int32_t* start;
  float* scales;
};

/// Rows of a head in limbs, [rows, d], with a scale each, and packed: `across`, per tile of rows,
/// for products over the columns; `down`, per tile of columns, `tile` of these apart, for those
/// over the rows, where its scales are 1.
struct HeadLimbs {
  std::int8_t *high, *low;
  float* scales;
  PackedLimbs across, down;
  std::uint64_t tile_words, tile_groups;  ///< of `down`, for a tile's lane
};

/// A head of keys and values over one sample.
struct SampleLimbs {
  std::uint64_t kv_head;
  std::uint64_t first, keys;  ///< rows of k
  HeadLimbs k, v;
};

constexpr std::uint64_t keys_at_a_time = 4;  ///< tiles

/// What a tile of queries works in, or as many tiles of keys.
struct TileRoom {
  float* weights;           ///< query x key; or key x 128 queries
  std::uint64_t stride;     ///< of the former
  std::int8_t *high, *low;  ///< weights, or heads of queries, in limbs
  float* scales;            ///< of each group of these
  std::uint32_t* words;     ///< packed, side A of a product, with its scales
  float* packed_scales;
  float* sums;  ///< query x column
};

/// Queries [begin, end) of a head, as rows of k, of one group of 128 rows of the sample; p and ds
/// are query x key, and dk and dv what the head adds to those of the sample's keys, [keys, d].
struct LimbStripe {
  std::uint64_t head, begin, end;
  float *p, *ds;
  std::uint64_t stride;  ///< of p and ds
  HeadLimbs q, dout;
  float *dk, *dv;
};

struct NetworkLoops {
  // Whole rows of a block.
  void (*rms_norm)(const RmsNorm<Checked>&, const Block&);
  void (*rms_norm_backward)(const RmsNormBackward<Checked>&, const Block&);  ///< dx alone
  void (*layer_norm)(const LayerNorm<Checked>&, const Block&);
  void (*layer_norm_backward)(const LayerNormBackward<Checked>&, const Block&);  ///< dx alone
  void (*rope)(const Rope<Checked>&, const Block&);
  void (*cross_entropy)(const CrossEntropy<Checked>&, const Block&);
  void (*rotate)(const Rotate<Checked>&, const Block&);
  void (*expand_nf4)(const ExpandNf4<Checked>&, const Block&);

  /// The block of 128 x 128 whose first element is (row, col).
  void (*quantise_rotated)(const QuantiseRotated<Checked>&, std::uint64_t row, std::uint64_t col);

  // Whole columns: chains down the rows.
  void (*rms_norm_weights)(const RmsNormBackward<Checked>&, const Block&);
  void (*layer_norm_weights)(const LayerNormBackward<Checked>&, const Block&);
  void (*sum_rows)(const SumRows<Checked>&, const Block&);
  void (*scatter_rows)(const ScatterRows<Checked>&, const Block&);

  // Any block.
  void (*activate)(const Activate<Checked>&, const Block&);
  void (*activate_backward)(const ActivateBackward<Checked>&, const Block&);
  void (*add)(const Add<Checked>&, const Block&);
  void (*scale)(const Scale<Checked>&, const Block&);
  void (*dropout)(const Dropout<Checked>&, const Block&);
  void (*keep_largest)(const KeepLargest<Checked>&, const Block&);
  void (*adam)(const Adam<Checked>&, const Block&);

  /// Lanes [lane, lane + count) of square_sum's 128, of all of x.
  void (*square_lanes)(const View<const float>& x, std::uint64_t lane, std::uint64_t count,
                       float* lanes);
  float (*lanes_sum)(float* lanes);

  /// Of a row of logits: the token that draw gives without a temperature; and p, as it defines
  /// them.
  std::uint32_t (*likeliest)(const float* logits, std::uint64_t n);
  void (*probabilities)(const float* logits, std::uint64_t n, float temperature, float m, float* p);

  /// The head's queries of at most `tile_rows` rows of k. `scores` has room for as many rows of
  /// the keys that the last of them sees, in whole tiles, `stride` apart.
  void (*attend)(const Attention<Checked>&, const SampleHead&, std::uint64_t head,
                 std::uint64_t row, std::uint64_t rows, float* scores, std::uint64_t stride);
  /// p and ds of such queries, of a stripe, and their dq.
  void (*attend_queries)(const AttentionBackward<Checked>&, const SampleHead&, const Stripe&,
                         std::uint64_t row, std::uint64_t rows);
  /// What the queries of a stripe add to dk and dv of at most `tile_rows` of the sample's keys.
  void (*attend_keys)(const AttentionBackward<Checked>&, const SampleHead&, const Stripe&,
                      std::uint64_t key, std::uint64_t rows);

  /// Rows [row, row + rows) of a head, whose first row is `x`, in limbs.
  void (*limbs_of_rows)(const HeadLimbs&, const float* x, std::uint64_t stride, std::uint64_t d,
                        std::uint64_t row, std::uint64_t rows);
  /// These packed, a group of 128 rows or the rest of the `count` that there are.
  void (*pack_across)(const HeadLimbs&, std::uint64_t d, std::uint64_t row, std::uint64_t count);
  void (*pack_down)(const HeadLimbs&, std::uint64_t d, std::uint64_t row, std::uint64_t count);
  // As the three above that have no limbs.
  void (*attend_limbs)(const Attention<Checked>&, const SampleLimbs&, const TileRoom&,
                       std::uint64_t head, std::uint64_t row, std::uint64_t rows);
  void (*attend_queries_limbs)(const AttentionBackward<Checked>&, const SampleLimbs&,
                               const LimbStripe&, const TileRoom&, std::uint64_t row,
                               std::uint64_t rows);
  /// At most `keys_at_a_time` times `tile_rows` keys.
  void (*attend_keys_limbs)(const AttentionBackward<Checked>&, const LimbStripe&, const TileRoom&,
                            std::uint64_t key, std::uint64_t rows);
};

}  // namespace volt::kernels
