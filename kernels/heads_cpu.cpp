// SPDX-License-Identifier: Apache-2.0

// Attention on a CPU. The unit of work is a head of keys and values over one sample, with all heads
// of queries that share it: its operands are packed once. Where there are enough units, each thread
// takes its own and nothing is waited for; otherwise threads share the tiles of one.

#include <algorithm>

#include "network_cpu.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t line_floats = 16;       // of a cache line
constexpr std::uint64_t most_scores = 1 << 21;  // floats of p in a stripe

// Queries of one sample, rows [begin, end) of k, whose keys begin at `first`.
struct Run {
  std::uint64_t first, begin, end;
  std::uint64_t keys() const { return end - first; }
  std::uint64_t queries() const { return end - begin; }
};

Run run_at(const View<const std::uint32_t>& first, std::uint64_t begin) {
  const auto of = [&](std::uint64_t row) { return first.data[row * first.stride]; };
  Run run = {of(begin), begin, begin + 1};
  while (run.end < first.rows && of(run.end) == run.first) ++run.end;
  return run;
}

// What the shapes of a job and the tiles of its loops say.
struct Shape {
  template <class Job>
  Shape(const Job& job, const Loops& loops)
      : d(job.q.cols / job.heads),
        group(job.heads / job.kv_heads),
        before(job.k.rows - job.q.rows),
        tile_rows(loops.tile_rows),
        tile_cols(loops.tile_cols) {}

  std::uint64_t key_tiles(std::uint64_t keys) const { return ceil_div(keys, tile_cols); }
  std::uint64_t across(std::uint64_t keys) const { return key_tiles(keys) * tile_cols * d; }
  std::uint64_t down(std::uint64_t rows) const { return ceil_div(d, tile_cols) * tile_cols * rows; }
  /// Of rows of scores. Whole cache lines, and not all rows at the same place in the cache.
  std::uint64_t stride(std::uint64_t keys) const {
    return key_tiles(keys) * tile_cols + line_floats;
  }

  std::uint64_t d, group, before, tile_rows, tile_cols;
};

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

// Memory of a slot, handed out piece by piece, each in whole cache lines.
struct Room {
  float* next;
  float* take(std::uint64_t floats) {
    float* const taken = next;
    next += ceil_div(floats, line_floats) * line_floats;
    return taken;
  }
};

// Has `Kind` work on every unit of a job. False: out of memory.
template <class Kind, class Job>
bool on_units(Context& context, const Job& job) {
  const Kind kind{context, job, Shape(job, *context.engine.loops)};
  const std::uint64_t threads = context.pool.threads();
  std::uint64_t runs = 0, keys = 0, pairs = 0;
  for (std::uint64_t row = kind.shape.before; row < job.k.rows; ++runs) {
    const Run run = run_at(job.first, row);
    keys = std::max(keys, run.keys());
    pairs += run.keys() * run.queries();
    row = run.end;
  }
  const std::uint64_t units = runs * job.kv_heads;
  const bool shared = threads > 1 && pairs * job.q.cols >= 8 * worth_sharing;
  const bool by_unit = shared && units >= 2 * threads;
  const std::uint64_t slot =
      ceil_div(kind.floats(keys, shared && !by_unit ? threads : 1), line_floats) * line_floats;
  const std::uint64_t slots = by_unit ? threads : 1;
  const std::uint64_t bytes = slots * slot * sizeof(float) + runs * sizeof(Run);
  Memory& scratch = context.scratch;
  if (scratch.bytes() < bytes && !scratch.take(bytes)) return false;
  auto* const floats = reinterpret_cast<float*>(scratch.data());
  auto* const run = reinterpret_cast<Run*>(floats + slots * slot);
  for (std::uint64_t row = kind.shape.before, i = 0; i < runs; row = run[i++].end) {
    run[i] = run_at(job.first, row);
  }
  in_slots(context, units, by_unit, [&](std::uint64_t i, std::uint64_t s) {
    kind.work(run[i / job.kv_heads], i % job.kv_heads, Room{floats + s * slot}, shared && !by_unit);
  });
  return true;
}

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
             sample, q, dout, shared);
      }
    }
  }

  void over(const Stripe& stripe, const SampleHead& sample, float* q, float* dout,
            bool shared) const {
    const NetworkLoops& loops = network_loops_of(context);
    const std::uint64_t queries = stripe.end - stripe.begin;
    const std::uint64_t first = stripe.begin - shape.before, col = stripe.head * shape.d;
    const Packing of_q = {*context.engine.loops, shape, job.q, first, col, queries};
    const Packing of_dout = {*context.engine.loops, shape, job.dout, first, col, queries};
    in_pieces(context, queries, shape.tile_rows, shared,
              [&](std::uint64_t row, std::uint64_t count) {
                of_q.down(q, row, count);
                of_dout.down(dout, row, count);
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
  return on_units<Forward>(context, job);
}

bool cpu_attention_backward(Context& context, const AttentionBackward<Checked>& job) {
  return on_units<Backward>(context, job);
}

}  // namespace volt::kernels
