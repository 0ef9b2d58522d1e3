// SPDX-License-Identifier: Apache-2.0

// Attention on a CPU by chains of fp32.

#include "heads_cpu.hpp"
#include "attention_rounded.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t most_scores = 1 << 21;  // floats of p in a stripe

// One matrix's columns of a head over a sample, packed tile by tile.
struct Packing {
  const Loops& loops;
  const Shape& shape;
  View<const float> x;
  std::uint64_t first, col, rows;

  const float* at(std::uint64_t row) const { return x.data + (first + row) * x.stride + col; }

  // Rows [row, row + tile_cols) as one tile of lanes.
  void across(float* to, std::uint64_t row) const {
    loops.pack_f32(to + row * shape.d, {at(row), x.stride, true},
                   std::min(shape.tile_cols, rows - row), shape.tile_cols, shape.d);
  }
  // Rows [row, row + count) of every tile of columns.
  void down(float* to, std::uint64_t row, std::uint64_t count) const {
    for (std::uint64_t c = 0; c < shape.d; c += shape.tile_cols) {
      loops.pack_f32(to + c * rows + row * shape.tile_cols, {at(row) + c, x.stride, false},
                     std::min(shape.tile_cols, shape.d - c), shape.tile_cols, count);
    }
  }
};

struct Forward {
  Context& context;
  const Attention<Checked>& job;
  Shape shape;

  std::uint64_t floats(std::uint64_t keys, std::uint64_t threads) const {
    return shape.across(keys) + shape.down(keys) + threads * shape.tile_rows * shape.stride(keys) +
           3 * line_floats;
  }

  void work(const Run& run, std::uint64_t kv_head, Room room, bool shared) const {
    const std::uint64_t keys = run.keys(), tile = shape.tile_rows;
    float* const k = room.take(shape.across(keys));
    float* const v = room.take(shape.down(keys));
    const SampleHead sample = {kv_head, run.first, keys, k, nullptr, nullptr, v};
    const Packing of_k = {*context.engine.loops, shape, job.k, run.first, kv_head * shape.d, keys};
    const Packing of_v = {*context.engine.loops, shape, job.v, run.first, kv_head * shape.d, keys};
    in_pieces(context, keys, shape.tile_cols, shared, [&](std::uint64_t row, std::uint64_t count) {
      of_k.across(k, row);
      of_v.down(v, row, count);
    });
    const std::uint64_t tiles = ceil_div(run.queries(), tile), stride = shape.stride(keys);
    in_slots(context, shape.group * tiles, shared, [&](std::uint64_t i, std::uint64_t slot) {
      // The last tiles, which see most, first.
      const std::uint64_t row = run.begin + (tiles - 1 - i / shape.group) * tile;
      network_loops_of(context).attend(job, sample, kv_head * shape.group + i % shape.group, row,
                                       std::min(tile, run.end - row),
                                       room.next + slot * tile * stride, stride);
    });
  }
};

struct Backward {
  Context& context;
  const AttentionBackward<Checked>& job;
  Shape shape;

  // Queries of a stripe, whole tiles.
  std::uint64_t stripe(std::uint64_t keys, std::uint64_t threads) const {
    const std::uint64_t wanted = std::max<std::uint64_t>(120 / shape.tile_rows, 2 * threads);
    const std::uint64_t most = most_scores / (shape.stride(keys) * shape.tile_rows);
    return std::clamp<std::uint64_t>(most, 1, wanted) * shape.tile_rows;
  }
  std::uint64_t floats(std::uint64_t keys, std::uint64_t threads) const {
    const std::uint64_t queries = stripe(keys, threads);
    return 2 * shape.across(keys) + shape.down(keys) + 2 * queries * shape.stride(keys) +
           2 * shape.down(queries) + 7 * line_floats;
  }

  void work(const Run& run, std::uint64_t kv_head, Room room, bool shared) const {
    const std::uint64_t keys = run.keys();
    float* const k = room.take(shape.across(keys));
    float* const v = room.take(shape.across(keys));
    float* const k_down = room.take(shape.down(keys));
    const SampleHead sample = {kv_head, run.first, keys, k, k_down, v, nullptr};
    const Packing of_k = {*context.engine.loops, shape, job.k, run.first, kv_head * shape.d, keys};
    const Packing of_v = {*context.engine.loops, shape, job.v, run.first, kv_head * shape.d, keys};
    in_pieces(context, keys, shape.tile_cols, shared, [&](std::uint64_t row, std::uint64_t count) {
      of_k.across(k, row);
      of_k.down(k_down, row, count);
      of_v.across(v, row);
    });
    const std::uint64_t most = stripe(keys, shared ? context.pool.threads() : 1);
    const std::uint64_t stride = shape.stride(keys);
    float* const p = room.take(most * stride);
    float* const ds = room.take(most * stride);
    float* const q = room.take(shape.down(most));
    float* const dout = room.take(shape.down(most));
    for (std::uint64_t head = 0; head < shape.group; ++head) {
      for (std::uint64_t row = run.begin; row < run.end; row += most) {
        over({kv_head * shape.group + head, row, std::min(row + most, run.end), p, ds, stride, q,
              dout},
             sample, shared);
      }
    }
  }

  void over(const Stripe& stripe, const SampleHead& sample, bool shared) const {
    const NetworkLoops& loops = network_loops_of(context);
    const std::uint64_t queries = stripe.end - stripe.begin;
    const std::uint64_t first = stripe.begin - shape.before, col = stripe.head * shape.d;
    const Packing of_q = {*context.engine.loops, shape, job.q, first, col, queries};
    const Packing of_dout = {*context.engine.loops, shape, job.dout, first, col, queries};
    in_pieces(context, queries, shape.tile_rows, shared,
              [&](std::uint64_t row, std::uint64_t count) {
                of_q.down(stripe.q, row, count);
                of_dout.down(stripe.dout, row, count);
                loops.attend_queries(job, sample, stripe, stripe.begin + row, count);
              });
    in_pieces(context, stripe.end - sample.first, shape.tile_rows, shared,
              [&](std::uint64_t key, std::uint64_t count) {
                loops.attend_keys(job, sample, stripe, key, count);
              });
  }
};

}  // namespace

bool cpu_attention(Context& context, const Attention<Checked>& job) {
  if (job.products == Products::limbs) return cpu_attention_limbs(context, job);
  if (job.products == Products::rounded) return attend_rounded(context, job, cpu_attention);
  return on_units<Forward>(context, job);
}

bool cpu_attention_backward(Context& context, const AttentionBackward<Checked>& job) {
  if (job.products == Products::limbs) return cpu_attention_backward_limbs(context, job);
  if (job.products == Products::rounded) {
    return attend_rounded(context, job, cpu_attention_backward);
  }
  return on_units<Backward>(context, job);
}

}  // namespace volt::kernels
