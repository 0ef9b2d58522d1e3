// SPDX-License-Identifier: Apache-2.0

// Attention by limbs, forward. A block has a tile of queries of one head and walks along their keys
// twice, since m must be known before the first e.

#include "attention_limbs_cuda.cuh"
#include "network_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

using limb_tiles::Group;
using limb_tiles::LimbHeads;
using limb_tiles::LimbLines;
using limb_tiles::Segment;

namespace {

std::uint64_t width_of(const View<const float>& x, std::uint32_t heads) {
  return (x.cols / heads + 31) / 32 * 32;
}

std::uint64_t in_sixteens(std::uint64_t bytes) { return (bytes + 15) / 16 * 16; }

/// A head of a row as one group: a warp each.
struct QuantiseHeads {
  static constexpr unsigned threads = 128, resident = 8;
  static constexpr std::uint32_t warps = threads / 32;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t i = std::uint64_t{block_index()} * warps + thread_index() / 32;
    const std::uint32_t lane = thread_index() % 32,
                        d = static_cast<std::uint32_t>(x.cols) / to.heads;
    if (i >= x.rows * to.heads) return;
    const float* const from = x.data + i / to.heads * x.stride + i % to.heads * d;
    std::uint32_t amax = 0;
    for (std::uint32_t j = lane; j < d; j += 32) {
      const std::uint32_t bits = magnitude_bits(from[j]);
      amax = bits > amax ? bits : amax;
    }
    for (std::uint32_t mask = 16; mask != 0; mask /= 2) {
      const std::uint32_t other = shuffle_xor(amax, mask);
      amax = other > amax ? other : amax;
    }
    const GroupScale scale = group_scale(amax, most_limbs);
    for (std::uint32_t j = lane; j < to.width; j += 32) {
      const Limbs limbs = limbs_of(j < d ? quantise_whole(from[j], scale) : 0);
      to.limb[0][i * to.width + j] = limbs.high;
      to.limb[1][i * to.width + j] = limbs.low;
    }
    if (lane == 0) to.scales[i] = scale.scale;
  }

  View<const float> x;
  LimbLines to;
};

template <int warps, int width>
struct AttendLimbs {
  using Along = limb_tiles::Walk<true, warps, width>;
  using Of = typename Along::Of;
  static constexpr unsigned threads = Of::threads, resident = 2;
  static constexpr int lanes = limb_tiles::lines;  // a line of a group is a lane of l

  struct Shared {
    typename Of::Shared tiles;
    float lane[Of::rows][lanes + 8];  // what the lanes of l are so far
    float inverse[Of::rows];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    Of tiles(shared.tiles);
    const Along walk(heads, chunks);
    const std::uint32_t kv_head = walk.head / heads.group();
    float greatest[2];
    find_greatest(tiles, walk, kv_head, greatest);
    over_lanes(shared, tiles, [](float& lane, int, int) { lane = 0.0f; });
    typename Of::Result result = {};
    walk.each_group([&](const Segment& segment, const Group& group) {
      typename Of::Scores scores;
      tiles.pair_up(scores, heads.q, walk.head, walk.first, walk.count, heads.k, kv_head, group);
      const auto sees = [&](int row, int line) { return walk.sees(segment, group, row, line); };
      over_lanes(shared, tiles, [&](float& lane, int strip, int e) {
        float& score = scores[strip][e];
        const bool seen = sees(tiles.place.row(e / 2), tiles.place.line(strip, e % 2));
        score = seen ? exp(score * heads.scale - greatest[e / 2]) : 0.0f;
        lane = lane + score;
      });
      tiles.weigh(result, scores, heads.v, kv_head, group, walk.column, sees);
    });
    sum_lanes(shared, tiles, walk, greatest);
    tiles.over_result(result, [&](int row, int column, float own) {
      if (row >= walk.count || walk.column + column >= heads.d) return;
      out.data[(walk.first + row) * out.stride + std::uint64_t{walk.head} * heads.d + walk.column +
               column] = canonical(fused_apart(own, shared.inverse[row]));
    });
  }

  /// change(lane, strip, e) for the lanes that are the thread's own.
  template <class Change>
  VOLT_DEVICE static void over_lanes(Shared& shared, const Of& tiles, Change change) {
    VOLT_UNROLL
    for (int strip = 0; strip < limb_tiles::strips; ++strip) {
      VOLT_UNROLL
      for (int e = 0; e < 4; ++e) {
        change(shared.lane[tiles.place.row(e / 2)][tiles.place.line(strip, e % 2)], strip, e);
      }
    }
  }

  /// m of the thread's two rows.
  VOLT_DEVICE void find_greatest(Of& tiles, const Along& walk, std::uint32_t kv_head,
                                 float (&greatest)[2]) const {
    greatest[0] = greatest[1] = bits_float(infinity_bits | 0x80000000u);
    walk.each_group([&](const Segment& segment, const Group& group) {
      typename Of::Scores scores;
      tiles.pair_up(scores, heads.q, walk.head, walk.first, walk.count, heads.k, kv_head, group);
      VOLT_UNROLL
      for (int strip = 0; strip < limb_tiles::strips; ++strip) {
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) {
          if (walk.sees(segment, group, tiles.place.row(e / 2), tiles.place.line(strip, e % 2))) {
            greatest[e / 2] = largest(scores[strip][e] * heads.scale, greatest[e / 2]);
          }
        }
      }
    });
    VOLT_UNROLL
    for (float& most : greatest) {
      VOLT_UNROLL
      for (std::uint32_t mask = 1; mask < 4; mask *= 2) {  // the four threads of a row
        most = largest(shuffle_xor(most, mask), most);
      }
      most = most + 0.0f;
    }
  }

  /// The tree of sum128 for every row: l, and 1 / l; and m.
  VOLT_DEVICE void sum_lanes(Shared& shared, const Of& tiles, const Along& walk,
                             const float (&greatest)[2]) const {
    const auto thread = static_cast<int>(thread_index());
    sync_block();
    for (int distance = lanes / 2; distance != 0; distance /= 2) {
      for (int i = thread; i < walk.count * distance; i += static_cast<int>(threads)) {
        float* const lane = &shared.lane[i / distance][i % distance];
        lane[0] = lane[0] + lane[distance];
      }
      sync_block();
    }
    for (int row = thread; row < walk.count; row += static_cast<int>(threads)) {
      const float sum = shared.lane[row][0];
      shared.inverse[row] = 1.0f / sum;
      if (walk.column == 0) l.data[(walk.first + row) * l.stride + walk.head] = canonical(sum);
    }
    VOLT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = tiles.place.row(half);
      if (walk.column == 0 && tiles.place.lane % 4 == 0 && row < walk.count) {
        m.data[(walk.first + row) * m.stride + walk.head] = greatest[half];
      }
    }
    sync_block();
  }

  LimbHeads heads;
  View<float> out, m, l;
  std::uint32_t chunks = 0;  // of a head's columns, a block each
};

template <int warps>
Status attend(CudaStream stream, const LimbHeads& heads, const Attention<Checked>& job) {
  if (heads.d <= 64) {
    return limb_tiles::launch_walks(stream, AttendLimbs<warps, 64>{heads, job.out, job.m, job.l},
                                    heads.queries, heads.heads, heads.d);
  }
  return limb_tiles::launch_walks(stream, AttendLimbs<warps, 128>{heads, job.out, job.m, job.l},
                                  heads.queries, heads.heads, heads.d);
}

}  // namespace

std::uint64_t limb_bytes(const View<const float>& x, std::uint32_t heads) {
  const std::uint64_t lines = x.rows * heads;
  return 2 * lines * width_of(x, heads) + in_sixteens(4 * lines);
}

LimbLines take_limbs(std::byte*& at, const View<const float>& x, std::uint32_t heads) {
  const std::uint64_t lines = x.rows * heads, width = width_of(x, heads);
  LimbLines taken = {
      {reinterpret_cast<std::int8_t*>(at), reinterpret_cast<std::int8_t*>(at + lines * width)},
      reinterpret_cast<float*>(at + 2 * lines * width),
      heads,
      static_cast<std::uint32_t>(width)};
  at += limb_bytes(x, heads);
  return taken;
}

Status make_limbs(CudaStream stream, const View<const float>& x, const LimbLines& to) {
  return launch(stream, (x.rows * to.heads - 1) / QuantiseHeads::warps + 1, QuantiseHeads{x, to});
}

std::uint64_t room_bytes(const Attention<Checked>& job) {
  return limb_bytes(job.q, job.heads) + limb_bytes(job.k, job.kv_heads) +
         limb_bytes(job.v, job.kv_heads);
}

Status cuda_attention_limbs(CudaStream stream, const Attention<Checked>& job, std::byte* room) {
  if (const Status status = countable(job); status.code != Status::ok) return status;
  LimbHeads heads = limb_heads(job);
  heads.q = take_limbs(room, job.q, job.heads);
  heads.k = take_limbs(room, job.k, job.kv_heads);
  heads.v = take_limbs(room, job.v, job.kv_heads);
  Status status = make_limbs(stream, job.q, heads.q);
  if (status.code == Status::ok) status = make_limbs(stream, job.k, heads.k);
  if (status.code == Status::ok) status = make_limbs(stream, job.v, heads.v);
  if (status.code != Status::ok) return status;
  const bool large = sizeof(AttendLimbs<4, 128>::Shared) <= max_shared_bytes();
  return large && job.q.rows > 32 ? attend<4>(stream, heads, job) : attend<2>(stream, heads, job);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
