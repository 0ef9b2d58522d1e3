// SPDX-License-Identifier: Apache-2.0

// Attention by limbs, backward, a kernel a gradient: dq by tiles of queries, which walk along their
// keys; dk and dv by tiles of keys, which walk along the queries that see them, head by head of the
// group. p is worked out anew from m and l.

#include "attention_limbs_cuda.cuh"
#include "network_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

using limb_tiles::Group;
using limb_tiles::LimbHeads;
using limb_tiles::LimbLines;
using limb_tiles::Segment;

enum class Gradient { dq, dk, dv };

template <Gradient gradient, int width>
struct AttendLimbsBackward {
  using Along = limb_tiles::Walk<gradient == Gradient::dq, 4, width>;
  using Of = typename Along::Of;
  static constexpr unsigned threads = Of::threads, resident = 1;
  static constexpr int queries = Along::owns_queries ? Of::rows : limb_tiles::lines;

  struct Shared {
    typename Of::Shared tiles;
    float m[queries], inverse[queries], t[queries];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    Of tiles(shared.tiles);
    const Along walk(heads, chunks);
    if constexpr (Along::owns_queries) {
      load_queries(shared, walk.head, walk.first, 0, walk.count);
      go(shared, tiles, walk, walk.head);
    } else {
      const std::uint32_t first = walk.head * heads.group();
      for (std::uint32_t head = first; head < first + heads.group(); ++head) {
        go(shared, tiles, walk, head);
      }
    }
  }

  /// What a head of queries adds.
  VOLT_DEVICE void go(Shared& shared, Of& tiles, const Along& walk, std::uint32_t head) const {
    typename Of::Result result = {};
    walk.each_group([&](const Segment& segment, const Group& group) {
      if constexpr (!Along::owns_queries) {
        sync_block();  // all have left the group before
        load_queries(shared, head, group.row, group.begin, group.end);
      }
      typename Of::Scores weights;
      pair_up(tiles, walk, weights, head, group, heads.q, heads.k);
      over(weights, [&](float& value, int strip, int e) {  // p
        const int query = query_of(tiles, strip, e);
        value = exp(value * heads.scale - shared.m[query]) * shared.inverse[query];
      });
      if constexpr (gradient != Gradient::dv) {
        typename Of::Scores dp;
        pair_up(tiles, walk, dp, head, group, heads.dout, heads.v);
        over(weights, [&](float& value, int strip, int e) {  // ds
          const float t = shared.t[query_of(tiles, strip, e)];
          value = (value * (dp[strip][e] - t)) * heads.scale;
        });
      }
      const auto sees = [&](int row, int line) { return walk.sees(segment, group, row, line); };
      const std::uint32_t other = gradient == Gradient::dq ? head / heads.group() : head;
      tiles.weigh(result, weights, weighted(), other, group, walk.column, sees);
    });
    // Keys of samples before the first query's are seen by none.
    const int seen = Along::owns_queries ? 0 : heads.first_of(heads.before()) - walk.first;
    tiles.over_result(result, [&](int row, int column, float own) {
      if (row < seen || row >= walk.count || walk.column + column >= heads.d) return;
      float& there = to.data[(walk.first + row) * to.stride + std::uint64_t{walk.head} * heads.d +
                             walk.column + column];
      there = canonical(there + own);
    });
  }

  /// The products of all pairs of the tile: of q and k, or of dout and v.
  VOLT_DEVICE void pair_up(Of& tiles, const Along& walk, typename Of::Scores& scores,
                           std::uint32_t head, const Group& group, const LimbLines& of_queries,
                           const LimbLines& of_keys) const {
    const std::uint32_t kv_head = head / heads.group();
    if constexpr (Along::owns_queries) {
      tiles.pair_up(scores, of_queries, head, walk.first, walk.count, of_keys, kv_head, group);
    } else {
      tiles.pair_up(scores, of_keys, kv_head, walk.first, walk.count, of_queries, head, group);
    }
  }

  VOLT_DEVICE const LimbLines& weighted() const {
    return gradient == Gradient::dq ? heads.k : gradient == Gradient::dk ? heads.q : heads.dout;
  }

  template <class Change>
  VOLT_DEVICE static void over(typename Of::Scores& scores, Change change) {
    VOLT_UNROLL
    for (int strip = 0; strip < limb_tiles::strips; ++strip) {
      VOLT_UNROLL
      for (int e = 0; e < 4; ++e) change(scores[strip][e], strip, e);
    }
  }

  VOLT_DEVICE static int query_of(const Of& tiles, int strip, int e) {
    return Along::owns_queries ? tiles.place.row(e / 2) : tiles.place.line(strip, e % 2);
  }

  /// Those of [begin, end) behind row `first` of q.
  VOLT_DEVICE void load_queries(Shared& shared, std::uint32_t head, int first, int begin,
                                int end) const {
    for (int i = static_cast<int>(thread_index()); i < queries; i += static_cast<int>(threads)) {
      if (i < begin || i >= end) {
        shared.m[i] = shared.inverse[i] = shared.t[i] = 0.0f;  // of what is not seen
        continue;
      }
      const auto query = static_cast<std::uint64_t>(first + i);
      shared.m[i] = heads.m.data[query * heads.m.stride + head];
      shared.inverse[i] = 1.0f / heads.l.data[query * heads.l.stride + head];
      shared.t[i] = heads.t[query * heads.heads + head];
    }
  }

  LimbHeads heads;
  View<float> to;
  std::uint32_t chunks = 0;  // of a head's columns, a block each
};

template <Gradient gradient>
Status attend(CudaStream stream, const LimbHeads& heads, const View<float>& to) {
  constexpr bool of_queries = gradient == Gradient::dq;
  const int rows = of_queries ? heads.queries : heads.keys;
  const std::uint32_t sides = of_queries ? heads.heads : heads.kv_heads;
  return limb_tiles::launch_walks(stream, AttendLimbsBackward<gradient, 64>{heads, to}, rows, sides,
                                  heads.d);
}

}  // namespace

std::uint64_t room_bytes(const AttentionBackward<Checked>& job) {
  return room_bytes(Attention<Checked>{
             job.q, job.k, job.v, job.first, job.heads, job.kv_heads, job.scale, {}, {}, {}}) +
         limb_bytes(job.dout, job.heads) + 4 * job.q.rows * job.heads;
}

Status cuda_attention_backward_limbs(CudaStream stream, const AttentionBackward<Checked>& job,
                                     std::byte* room) {
  if (const Status status = countable(job); status.code != Status::ok) return status;
  LimbHeads heads = limb_heads(job);
  heads.m = job.m, heads.l = job.l;
  heads.q = take_limbs(room, job.q, job.heads);
  heads.k = take_limbs(room, job.k, job.kv_heads);
  heads.v = take_limbs(room, job.v, job.kv_heads);
  heads.dout = take_limbs(room, job.dout, job.heads);
  float* const t = reinterpret_cast<float*>(room);
  heads.t = t;
  Status status = cuda_attention_dots(stream, job.out, job.dout, job.heads, t);
  const auto then = [&](const auto& step) {
    if (status.code == Status::ok) status = step();
  };
  then([&] { return make_limbs(stream, job.q, heads.q); });
  then([&] { return make_limbs(stream, job.k, heads.k); });
  then([&] { return make_limbs(stream, job.v, heads.v); });
  then([&] { return make_limbs(stream, job.dout, heads.dout); });
  then([&] { return attend<Gradient::dq>(stream, heads, job.dq); });
  then([&] { return attend<Gradient::dk>(stream, heads, job.dk); });
  then([&] { return attend<Gradient::dv>(stream, heads, job.dv); });
  return status;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
