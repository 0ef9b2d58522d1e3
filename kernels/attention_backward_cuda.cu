// SPDX-License-Identifier: Apache-2.0

// Attention, backward, a kernel a gradient: dq by tiles of queries, which walk along their keys; dk
// and dv by tiles of keys, which walk along the queries that see them, head by head of the group.
// p is worked out anew from m and l.

#include "attention_walk_cuda.cuh"
#include "lanes_cuda.cuh"
#include "network_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

enum class Gradient { dq, dk, dv };

template <Gradient gradient, int width>
struct AttendBackward {
  using Along = Walk<gradient == Gradient::dq, 64, width>;
  using Tiles = typename Along::Tiles;
  using Scores = typename Along::Scores;
  static constexpr unsigned threads = Tiles::threads, resident = 2;

  struct Shared {
    typename Tiles::Shared tiles;
    typename Along::Shared walk;
    float m[Along::queries], inverse[Along::queries], t[Along::queries];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    Tiles tiles(shared.tiles, heads.d());
    const Along walk(shared.walk, heads, chunks);
    typename Along::Result result = {};
    walk.over_result(to, tiles, result, [](float& there, float& own) { own = there; });
    if constexpr (Along::owns_queries) {
      load_queries(shared, walk.head, walk.first, walk.count);
      go(shared, tiles, walk, walk.head, result);
    } else {
      const std::uint32_t first = walk.head * heads.group();
      for (std::uint32_t head = first; head < first + heads.group(); ++head) {
        go(shared, tiles, walk, head, result);
      }
    }
    walk.over_result(to, tiles, result, [](float& there, float& own) { there = canonical(own); });
  }

  VOLT_DEVICE void go(Shared& shared, Tiles& tiles, const Along& walk, std::uint32_t head,
                      typename Along::Result& result) const {
    walk.each_tile([&](int at, int lines) {
      walk.look(at, lines);
      if constexpr (!Along::owns_queries) load_queries(shared, head, at, lines);
      Scores scores;
      walk.pair_up(scores, tiles, head, at, lines, heads.q, heads.k);
      Along::each_score(tiles, scores, [&](float& value, int query, int, int) {
        value = exp(value * heads.scale - shared.m[query]) * shared.inverse[query];  // p
      });
      tiles.keep(scores);
      if constexpr (gradient != Gradient::dv) {
        walk.pair_up(scores, tiles, head, at, lines, heads.dout, heads.v);  // dp
        Along::each_score(tiles, scores, [&](float& value, int query, int own, int other) {
          const float p = shared.tiles.weight[other][own];
          value = (p * (value - shared.t[query])) * heads.scale;  // ds
        });
        tiles.keep(scores);
      }
      walk.weigh(result, tiles, lines_of(head, at, lines), fours);
    });
  }

  /// What the weights weigh.
  VOLT_DEVICE LinesAt lines_of(std::uint32_t head, int at, int lines) const {
    if constexpr (gradient == Gradient::dq) return heads.keys(heads.k, head, at, lines);
    return heads.queries(gradient == Gradient::dk ? heads.q : heads.dout, head, at, lines);
  }

  VOLT_DEVICE void load_queries(Shared& shared, std::uint32_t head, int first, int count) const {
    const auto thread = static_cast<int>(thread_index());
    if (thread >= count) return;
    const std::uint64_t query = first + thread;
    shared.m[thread] = heads.m.data[query * heads.m.stride + head];
    shared.inverse[thread] = 1.0f / heads.l.data[query * heads.l.stride + head];
    shared.t[thread] = heads.t[query * heads.heads + head];
  }

  Heads heads;
  View<float> to;
  bool fours;
  std::uint32_t chunks = 0;  // of a head's columns, a block each
};

// sum(dout out), a warp for each query and head.
struct Dots {
  static constexpr unsigned threads = 128, resident = 8;
  static constexpr std::uint32_t warps = threads / 32;
  using Shared = Team<32>::Shared;

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint64_t i = std::uint64_t{block_index()} * warps + thread_index() / 32;
    if (i >= out.rows * heads) return;
    const std::uint64_t row = i / heads, d = out.cols / heads, column = i % heads * d;
    const float* const a = dout.data + row * dout.stride + column;
    const float* const b = out.data + row * out.stride + column;
    const float sum = Team<32>::sum(
        shared, d, [=](std::uint64_t j, float acc) { return fused(a[j], b[j], acc); });
    if (thread_index() % 32 == 0) t[i] = sum;
  }

  View<const float> out, dout;
  std::uint32_t heads;
  float* t;
};

template <Gradient gradient>
Status attend(CudaStream stream, const Heads& heads, const View<float>& to) {
  constexpr bool of_queries = gradient == Gradient::dq;
  const std::uint64_t d = heads.q.cols / heads.heads;
  const std::uint64_t rows = of_queries ? heads.q.rows : heads.k.rows;
  const std::uint64_t sides = of_queries ? heads.heads : heads.kv_heads;
  const bool fours = in_fours(of_queries                 ? heads.k
                              : gradient == Gradient::dk ? heads.q
                                                         : heads.dout,
                              d);
  if (d <= 64) {
    return launch_walks(stream, AttendBackward<gradient, 64>{heads, to, fours}, rows, sides, d);
  }
  return launch_walks(stream, AttendBackward<gradient, 128>{heads, to, fours}, rows, sides, d);
}

}  // namespace

Status cuda_attention_dots(CudaStream stream, const View<const float>& out,
                           const View<const float>& dout, std::uint32_t heads, float* t) {
  return launch(stream, (out.rows * heads - 1) / Dots::warps + 1, Dots{out, dout, heads, t});
}

Status cuda_attention_backward(CudaStream stream, const AttentionBackward<Checked>& job, float* t) {
  Status status = countable(job);
  const auto then = [&](const auto& step) {
    if (status.code == Status::ok) status = step();
  };
  const Heads heads = {job.q,     job.k,    job.v, job.first, job.heads, job.kv_heads,
                       job.scale, job.dout, job.m, job.l,     t};
  then([&] { return cuda_attention_dots(stream, job.out, job.dout, job.heads, t); });
  then([&] { return attend<Gradient::dq>(stream, heads, job.dq); });
  then([&] { return attend<Gradient::dk>(stream, heads, job.dk); });
  then([&] { return attend<Gradient::dv>(stream, heads, job.dv); });
  return status;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
