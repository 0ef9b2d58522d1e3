// SPDX-License-Identifier: Apache-2.0

// Attention, forward. A block has a tile of queries of one head and walks along their keys twice,
// since m must be known before the first e: working the scores out anew costs less than to write
// and read them.

#include "attention_walk_cuda.cuh"
#include "network_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

template <int rows, int width>
struct Attend {
  using Along = Walk<true, rows, width>;
  using Tiles = typename Along::Tiles;
  using Scores = typename Along::Scores;
  static constexpr unsigned threads = Tiles::threads, resident = 2;
  static constexpr int lanes = 128;
  static_assert(lanes == Tiles::walk);  // so that a lane has one key of each tile, always the same

  struct Shared {
    typename Tiles::Shared tiles;
    typename Along::Shared walk;
    float m[rows], inverse[rows];
    alignas(16) float lane[rows][lanes + 4];  // what the lanes of l are so far, by place of the key
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    Tiles tiles(shared.tiles, heads.d());
    const Along walk(shared.walk, heads, chunks);
    find_greatest(shared, tiles, walk);
    clear_lanes(shared, tiles);
    typename Along::Result result = {};
    walk.each_tile([&](int at, int lines) {
      walk.look(at, lines);
      Scores scores;
      walk.pair_up(scores, tiles, walk.head, at, lines, heads.q, heads.k);
      exponentials(shared, tiles, walk, scores);
      tiles.keep(scores);
      walk.weigh(result, tiles, heads.keys(heads.v, walk.head, at, lines), fours);
    });
    sum_lanes(shared, walk);
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      VOLT_UNROLL
      for (float& value : result[i]) {
        value = fused_apart(value, shared.inverse[tiles.place.row(i)]);
      }
    }
    walk.over_result(out, tiles, result, [](float& there, float& own) { there = canonical(own); });
  }

  /// e, and l's lanes with it.
  VOLT_DEVICE void exponentials(Shared& shared, const Tiles& tiles, const Along& walk,
                                Scores& scores) const {
    Along::each_score(tiles, scores, [&](float& value, int query, int own, int other) {
      const float e = exp(value * heads.scale - shared.m[query]);
      value = walk.sees(own, other) ? e : 0.0f;
    });
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < Tiles::across; j += 4) {
        Four& there = lanes_of(shared, tiles, i, j);
        Four sums = there;
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) sums.at[e] = sums.at[e] + scores[i][j + e];
        there = sums;
      }
    }
  }

  /// Four lanes that are the thread's own.
  VOLT_DEVICE static Four& lanes_of(Shared& shared, const Tiles& tiles, int i, int j) {
    return Tiles::four_of(shared.lane[tiles.place.row(i)][tiles.place.template column<lanes>(j)]);
  }
  VOLT_DEVICE static void clear_lanes(Shared& shared, const Tiles& tiles) {
    for (int i = 0; i < Tiles::own; ++i) {
      for (int j = 0; j < Tiles::across; j += 4) lanes_of(shared, tiles, i, j) = {};
    }
  }

  /// m of every row.
  VOLT_DEVICE void find_greatest(Shared& shared, Tiles& tiles, const Along& walk) const {
    const float least = bits_float(infinity_bits | 0x80000000u);
    float own[Tiles::own];
    VOLT_UNROLL
    for (float& greatest : own) greatest = least;
    walk.each_tile([&](int at, int lines) {
      walk.look(at, lines);
      Scores scores;
      walk.pair_up(scores, tiles, walk.head, at, lines, heads.q, heads.k);
      VOLT_UNROLL
      for (int i = 0; i < Tiles::own; ++i) {
        VOLT_UNROLL
        for (int j = 0; j < Tiles::across; ++j) {
          const int row = tiles.place.row(i), line = tiles.place.template column<lanes>(j);
          if (walk.sees(row, line)) own[i] = largest(scores[i][j] * heads.scale, own[i]);
        }
      }
    });
    // The weights' memory is free still: for each row, what each of its threads found.
    float(&found)[Tiles::walk][rows + 4] = shared.tiles.weight;
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      found[tiles.place.part()][tiles.place.row(i)] = own[i];
    }
    sync_block();
    const auto row = static_cast<int>(thread_index());
    if (row < walk.count) {
      float greatest = least;
      for (int i = 0; i < Tiles::parts; ++i) greatest = largest(found[i][row], greatest);
      greatest = greatest + 0.0f;
      shared.m[row] = greatest;
      if (walk.column == 0) m.data[(walk.first + row) * m.stride + walk.head] = greatest;
    }
    sync_block();
  }

  /// The tree of sum128 for every row: l, and 1 / l. It joins lanes 64, 32, ... apart, and would
  /// join the same ones if they were counted from any other, around: so the walk's first key, not
  /// the query's, has lane 0 here.
  VOLT_DEVICE void sum_lanes(Shared& shared, const Along& walk) const {
    const auto thread = static_cast<int>(thread_index());
    sync_block();
    for (int distance = lanes / 2; distance != 0; distance /= 2) {
      for (int i = thread; i < walk.count * distance; i += static_cast<int>(threads)) {
        float* const lane = &shared.lane[i / distance][i % distance];
        lane[0] = lane[0] + lane[distance];
      }
      sync_block();
    }
    if (thread < walk.count) {
      const float sum = shared.lane[thread][0];
      shared.inverse[thread] = 1.0f / sum;
      if (walk.column == 0) {
        l.data[(walk.first + thread) * l.stride + walk.head] = canonical(sum);
      }
    }
    sync_block();
  }

  Heads heads;
  View<float> out, m, l;
  bool fours;
  std::uint32_t chunks = 0;  // of a head's columns, a block each
};

template <int rows, int width>
Status attend(CudaStream stream, const Attention<Checked>& job) {
  const Heads heads = {job.q,     job.k, job.v, job.first, job.heads, job.kv_heads,
                       job.scale, {},    {},    {},        nullptr};
  const std::uint64_t d = job.q.cols / job.heads;
  return launch_walks(stream, Attend<rows, width>{heads, job.out, job.m, job.l, in_fours(job.v, d)},
                      job.q.rows, job.heads, d);
}

template <int rows>
Status attend(CudaStream stream, const Attention<Checked>& job) {
  return job.q.cols / job.heads <= 64 ? attend<rows, 64>(stream, job)
                                      : attend<rows, 128>(stream, job);
}

}  // namespace

Status cuda_attention(CudaStream stream, const Attention<Checked>& job) {
  if (const Status status = countable(job); status.code != Status::ok) return status;
  const bool large = sizeof(Attend<64, 128>::Shared) <= max_shared_bytes();
  return large && job.q.rows > 32 ? attend<64>(stream, job) : attend<32>(stream, job);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
