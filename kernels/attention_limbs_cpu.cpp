// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules. Attention
// whose products are of limbs: those of matmul_i8x2, block by block, between loops over rows.

#include "attention_cpu.hpp"
#include "limbs_cpu.hpp"
#include "tile_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

VOLT_EXACT std::uint64_t parts(std::uint64_t count, std::uint64_t of) {
  return (count + of - 1) / of;
}

// ---- heads in limbs

void limbs_of_rows(const HeadLimbs& head, const float* x, std::uint64_t stride, std::uint64_t d,
                   std::uint64_t row, std::uint64_t rows) {
  for (std::uint64_t r = row; r < row + rows; ++r) {
    quantise_limbs_row(x + r * stride, d, d, head.high + r * d, head.low + r * d, head.scales + r);
  }
}

void pack_across(const HeadLimbs& head, std::uint64_t d, std::uint64_t row, std::uint64_t count) {
  const std::uint64_t groups = parts(d, group_size), end = least(row + group_size, count);
  for (std::uint64_t r = row; r < end; r += tile_cols) {
    const std::uint64_t there = least(tile_cols, end - r);
    pack_limbs_b(head.across.words + r * 2 * groups * group_words,
                 head.across.start + r * 2 * groups, {head.high + r * d, d, true},
                 {head.low + r * d, d, true}, there, d);
    for (std::uint64_t g = 0; g < groups; ++g) {
      float* const scales = head.across.scales + r * groups + g * tile_cols;
      for (std::uint64_t i = 0; i < tile_cols; ++i) {
        scales[i] = i < there ? head.scales[r + i] : 0.0f;
      }
    }
  }
}

void pack_down(const HeadLimbs& head, std::uint64_t d, std::uint64_t row, std::uint64_t count) {
  const std::uint64_t lane = row / group_size * tile_cols;  // the first of the group's, in a tile
  for (std::uint64_t c = 0; c < d; c += tile_cols) {
    pack_limbs_b(head.down.words + c * head.tile_words + 2 * lane * group_words,
                 head.down.start + 2 * (c * head.tile_groups + lane),
                 {head.high + row * d + c, d, false}, {head.low + row * d + c, d, false},
                 least(tile_cols, d - c), least(group_size, count - row));
  }
  for (std::uint64_t i = 0; i < tile_cols; ++i) head.down.scales[lane + i] = 1.0f;
}

// ---- products

/// Rows of `k` elements in limbs; of group g of row r, the scale is scales[r * row_step + g *
/// group_step].
struct LimbRows {
  const std::int8_t *high, *low;
  std::uint64_t k;
  const float* scales;
  std::uint64_t row_step, group_step;
};

// Rows of a head, from `row` on.
VOLT_EXACT LimbRows rows_of(const HeadLimbs& head, std::uint64_t d, std::uint64_t row) {
  return {head.high + row * d, head.low + row * d, d, head.scales + row, 1, 0};
}

// Side A of a product.
static void pack_side(const TileRoom& room, const LimbRows& side, std::uint64_t rows) {
  const std::uint64_t groups = parts(side.k, group_size);
  for (std::uint64_t row = 0; row < rows; row += tile_rows) {
    const std::uint64_t there = least(tile_rows, rows - row);
    pack_limbs_a(room.words + 2 * row * groups * group_words,
                 {side.high + row * side.k, side.k, true}, {side.low + row * side.k, side.k, true},
                 there, side.k);
    for (std::uint64_t g = 0; g < groups; ++g) {
      for (std::uint64_t r = 0; r < there; ++r) {
        room.packed_scales[(row * groups) + g * tile_rows + r] =
            side.scales[(row + r) * side.row_step + g * side.group_step];
      }
    }
  }
}

// to = the product over columns with the first `count` rows of `other`, and maybe more, which `to`
// has room for.
static void over_columns(const TileRoom& room, const LimbRows& side, std::uint64_t rows,
                         const HeadLimbs& other, std::uint64_t count, float* to,
                         std::uint64_t stride) {
  pack_side(room, side, rows);
  const std::uint64_t wide = parts(count, tile_cols) * tile_cols;
  for (std::uint64_t r = 0; r < rows; ++r) __builtin_memset(to + r * stride, 0, wide * sizeof *to);
  block_i8x2(room.words, other.across.words, other.across.start, room.packed_scales,
             other.across.scales, parts(side.k, unit), to, stride, rows, wide);
}

// Keys that the weights of these queries are for: whole groups, for which B's start values are.
template <class Job>
VOLT_EXACT std::uint64_t weighted_keys(const Queries<Job>& now, const SampleLimbs& sample) {
  const std::uint64_t seen = now.seen + now.rows - 1;
  return least(parts(seen, group_size) * group_size, sample.keys);
}

// to += the product over the first `count` rows of `other`, with room's weights, `weights_stride`
// apart.
static void over_rows(const TileRoom& room, std::uint64_t weights_stride, std::uint64_t rows,
                      const HeadLimbs& other, std::uint64_t count, std::uint64_t d, float* to,
                      std::uint64_t stride) {
  const std::uint64_t groups = parts(count, group_size);
  for (std::uint64_t r = 0; r < rows; ++r) {
    quantise_limbs_row(room.weights + r * weights_stride, count, group_size, room.high + r * count,
                       room.low + r * count, room.scales + r * groups);
  }
  pack_side(room, {room.high, room.low, count, room.scales, groups, 1}, rows);
  for (std::uint64_t c = 0; c < d; c += tile_cols) {
    block_i8x2(room.words, other.down.words + c * other.tile_words,
               other.down.start + 2 * c * other.tile_groups, room.packed_scales, other.down.scales,
               parts(count, unit), to + c, stride, rows, least(tile_cols, d - c));
  }
}

// What is weighted, x * scale, of the `count` lines that are seen; the others, up to `end`, are +0.
static void weigh(const float* x, const float* scales, std::uint64_t count, float* to,
                  std::uint64_t end) {
  for (std::uint64_t i = 0; i < count; ++i) to[i] = x[i] * scales[i];
  __builtin_memset(to + count, 0, (end - count) * sizeof *to);
}

// ---- forward

void attend_limbs(const Attention<Checked>& job, const SampleLimbs& sample, const TileRoom& room,
                  std::uint64_t head, std::uint64_t row, std::uint64_t rows) {
  const Queries now(job, sample.first, head, row, rows);
  const std::uint64_t d = now.d, keys = weighted_keys(now, sample);
  const HeadLimbs q = {room.high, room.low, room.scales, {}, {}, 0, 0};
  limbs_of_rows(q, now.in(job.q), job.q.stride, d, 0, rows);
  over_columns(room, rows_of(q, d, 0), rows, sample.k, now.seen + rows - 1, room.weights,
               room.stride);
  float* const out = now.in(job.out);
  float inverse[tile_rows];
  for (std::uint64_t r = 0; r < rows; ++r) {
    float* const s = room.weights + r * room.stride;
    const std::uint64_t seen = now.seen + r;
    for (std::uint64_t i = 0; i < seen; ++i) s[i] = s[i] * job.scale;
    const float m = largest_score(s, 0, seen, spread(-__builtin_inff()));
    const float l = soften(s, seen, m);
    row_of(job.m, now.at + r)[head] = m;
    row_of(job.l, now.at + r)[head] = l;
    inverse[r] = 1.0f / l;
    weigh(s, sample.v.scales, seen, s, keys);
    __builtin_memset(out + r * job.out.stride, 0, d * sizeof *out);
  }
  over_rows(room, room.stride, rows, sample.v, keys, d, out, job.out.stride);
  for (std::uint64_t r = 0; r < rows; ++r) {
    float* const to = out + r * job.out.stride;
    for (std::uint64_t j = 0; j < d; ++j) to[j] = canonical(fused_apart(to[j], inverse[r]));
  }
}

// ---- backward

static void multiply(float* x, float by, std::uint64_t count, std::uint64_t end) {
  for (std::uint64_t i = 0; i < count; ++i) x[i] = x[i] * by;
  __builtin_memset(x + count, 0, (end - count) * sizeof *x);
}

void attend_queries_limbs(const AttentionBackward<Checked>& job, const SampleLimbs& sample,
                          const LimbStripe& stripe, const TileRoom& room, std::uint64_t row,
                          std::uint64_t rows) {
  const Queries now(job, sample.first, stripe.head, row, rows);
  const std::uint64_t d = now.d, in_stripe = row - stripe.begin;
  const std::uint64_t seen_by_last = now.seen + rows - 1, keys = weighted_keys(now, sample);
  float* const p = stripe.p + in_stripe * stripe.stride;
  float* const ds = stripe.ds + in_stripe * stripe.stride;
  over_columns(room, rows_of(stripe.q, d, in_stripe), rows, sample.k, seen_by_last, p,
               stripe.stride);
  over_columns(room, rows_of(stripe.dout, d, in_stripe), rows, sample.v, seen_by_last, ds,
               stripe.stride);
  for (std::uint64_t r = 0; r < rows; ++r) {
    const float* const by = now.in(job.dout) + r * job.dout.stride;
    const float* const out = now.in(job.out) + r * job.out.stride;
    const float t =
        sum_of(d, [&](std::uint64_t j, float lane) { return fused(by[j], out[j], lane); });
    float *const p_row = p + r * stripe.stride, *const ds_row = ds + r * stripe.stride;
    const std::uint64_t seen = now.seen + r, end = stripe.end - sample.first;
    for (std::uint64_t i = 0; i < seen; ++i) p_row[i] = p_row[i] * job.scale;
    slope(p_row, ds_row, seen, row_of(job.m, now.at + r)[now.head],
          1.0f / row_of(job.l, now.at + r)[now.head], t, job.scale);
    weigh(ds_row, sample.k.scales, seen, room.weights + r * room.stride, keys);
    multiply(p_row, stripe.dout.scales[in_stripe + r], seen, end);
    multiply(ds_row, stripe.q.scales[in_stripe + r], seen, end);
  }
  __builtin_memset(room.sums, 0, rows * d * sizeof *room.sums);
  over_rows(room, room.stride, rows, sample.k, keys, d, room.sums, d);
  float* const dq = now.in(job.dq);
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t j = 0; j < d; ++j) {
      float& to = dq[r * job.dq.stride + j];
      to = canonical(to + room.sums[r * d + j]);
    }
  }
}

void attend_keys_limbs(const AttentionBackward<Checked>& job, const LimbStripe& stripe,
                       const TileRoom& room, std::uint64_t key, std::uint64_t rows) {
  const std::uint64_t d = job.q.cols / job.heads, queries = stripe.end - stripe.begin;
  const auto add = [&](const float* weights, const HeadLimbs& of, float* to) {
    // Turned, so that a key's weights are side by side.
    pack_f32(room.weights, {weights + key, stripe.stride, true}, queries, group_size, rows);
    over_rows(room, group_size, rows, of, queries, d, to + key * d, d);
  };
  add(stripe.ds, stripe.q, stripe.dk);
  add(stripe.p, stripe.dout, stripe.dv);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
