// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "network_cpu.hpp"

/// Attention on a CPU. The unit of work is a head of keys and values over one sample, with all
/// heads of queries that share it: its operands are packed once. Where there are enough units, each
/// thread takes its own and nothing is waited for; otherwise threads share the tiles of one.
namespace volt::kernels {

constexpr std::uint64_t line_floats = 16;  ///< of a cache line

/// Queries of one sample, rows [begin, end) of k, whose keys begin at `first`.
struct Run {
  std::uint64_t first, begin, end;
  std::uint64_t keys() const { return end - first; }
  std::uint64_t queries() const { return end - begin; }
};

inline Run run_at(const View<const std::uint32_t>& first, std::uint64_t begin) {
  const auto of = [&](std::uint64_t row) { return first.data[row * first.stride]; };
  Run run = {of(begin), begin, begin + 1};
  while (run.end < first.rows && of(run.end) == run.first) ++run.end;
  return run;
}

/// What the shapes of a job and the tiles of its loops say.
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

/// Memory of a slot, handed out piece by piece, each in whole cache lines.
struct Room {
  float* next;
  float* take(std::uint64_t floats) {
    float* const taken = next;
    next += ceil_div(floats, line_floats) * line_floats;
    return taken;
  }
};

/// Has `Kind` work on every unit of a job. False: out of memory.
template <class Kind, class Job>
bool on_units(Context& context, const Job& job) {
  const Kind kind{context, job, {job, *context.engine.loops}};
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

// cpu_attention() and cpu_attention_backward() where products are of limbs.
bool cpu_attention_limbs(Context& context, const Attention<Checked>& job);
bool cpu_attention_backward_limbs(Context& context, const AttentionBackward<Checked>& job);

}  // namespace volt::kernels
