// SPDX-License-Identifier: Apache-2.0

// Attention, forward and backward: out and dq by tiles of queries, which walk along their keys, dk
// and dv by tiles of keys, which walk along the queries that see them, head by head of the group.
// Scores are worked out anew wherever they are needed, twice for out alone (its m must be known
// before the first e): a chain of d steps costs less than to write and read it.

#include "attention_cuda.cuh"
#include "lanes_cuda.cuh"
#include "network_cuda.hpp"
#include "network_functions.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

enum class Part { out, dq, dk, dv };

/// Of both directions. Rows are fewer than 2^31.
struct Heads {
  View<const float> q, k, v, dout, m, l;
  View<const std::uint32_t> first;
  const float* t;              ///< backward's sum(dout out), [rows, heads]
  View<float> to, m_to, l_to;  ///< what the part gives
  std::uint32_t heads, kv_heads;
  float scale;

  VOLT_DEVICE int d() const { return static_cast<int>(q.cols / heads); }
  VOLT_DEVICE int before() const { return static_cast<int>(k.rows - q.rows); }  // keys alone
  VOLT_DEVICE int first_of(int query) const {
    return static_cast<int>(first.data[(before() + query) * first.stride]);
  }
};

template <Part part, int rows, int width>
struct Attend {
  using Tiles = AttentionTiles<rows, width>;
  static constexpr bool owns_queries = part == Part::out || part == Part::dq;
  static constexpr int walk = Tiles::walk, queries = owns_queries ? rows : walk;
  static constexpr unsigned threads = Tiles::threads, resident = 2;

  struct Shared {
    typename Tiles::Shared tiles;
    // Of the tile's queries, the keys of the tile that they see: from `begin` to before `end`.
    int begin[walk], end[walk];
    float m[queries], inverse[queries], t[queries];
    bool partly[threads / 32];  // sees not all of the tile's keys: some thread of the warp
    // out: what the lanes of l are so far, by key modulo `walk`
    alignas(16) float lane[part == Part::out ? rows : 1][walk + 4];
  };

  /// What a block is to do.
  struct Task {
    int first, count;    ///< lines that it owns
    std::uint32_t head;  ///< of these
    int column;          ///< of its head's result
    int walk_begin, walk_end;
  };

  using Scores = float[Tiles::own][Tiles::across];

  VOLT_DEVICE void operator()(Shared& shared) const {
    Tiles tiles(shared.tiles, job.d());
    Task task = task_of(block_index());
    find_walk(shared, task);
    float acc[Tiles::own][Tiles::wide] = {};
    if constexpr (part == Part::out) {
      find_greatest(shared, tiles, task);
      forget_lanes(shared, tiles);
    } else {
      over_result(
          tiles, task, [](float& there, float& own) { own = there; }, acc);
    }
    if constexpr (owns_queries) {
      if constexpr (part == Part::dq) load_queries(shared, task.first, task.count, task.head);
      along(shared, tiles, task, task.head, acc);
    } else {
      const std::uint32_t group = job.heads / job.kv_heads;
      for (std::uint32_t head = task.head * group; head < (task.head + 1) * group; ++head) {
        along(shared, tiles, task, head, acc);
      }
    }
    if constexpr (part == Part::out) {
      sum_lanes(shared, task);
      for (int i = 0; i < Tiles::own; ++i) {
        for (float& value : acc[i]) {
          value = fused_apart(value, shared.inverse[tiles.place.row(i)]);
        }
      }
    }
    over_result(
        tiles, task, [](float& there, float& own) { there = canonical(own); }, acc);
  }

  // Blocks with the most to walk come first: late queries, and early keys.
  VOLT_DEVICE Task task_of(std::uint32_t block) const {
    const std::uint32_t sides = owns_queries ? job.heads : job.kv_heads;
    const std::uint32_t chunk = block % chunks, rest = block / chunks;
    const std::uint32_t tile =
        owns_queries ? block_count() / (chunks * sides) - 1 - rest / sides : rest / sides;
    const auto all = static_cast<int>(owns_queries ? job.q.rows : job.k.rows);
    const int first = static_cast<int>(tile) * rows;
    return {first,
            all - first < rows ? all - first : rows,
            rest % sides,
            static_cast<int>(chunk) * width,
            0,
            0};
  }

  // The keys that some query of the tile sees, or the queries that see some key of it.
  VOLT_DEVICE void find_walk(Shared& shared, Task& task) const {
    const int last = task.first + task.count - 1, thread = static_cast<int>(thread_index());
    const int before = job.before();
    if constexpr (owns_queries) {
      const int query = task.first + (thread < task.count ? thread : 0);
      shared.begin[thread] = job.first_of(query);
      sync_block();
      task.walk_begin = before + last;
      for (int first : shared.begin) {
        if (first < task.walk_begin) task.walk_begin = first;
      }
      task.walk_end = before + last + 1;
    } else {
      task.walk_begin = task.first > before ? task.first - before : 0;
      task.walk_end = 0;
      for (int i = task.walk_begin + thread; i < static_cast<int>(job.q.rows); i += threads) {
        if (job.first_of(i) <= last) task.walk_end = i + 1;
      }
      shared.begin[thread] = task.walk_end;
      sync_block();
      for (int end : shared.begin) {
        if (end > task.walk_end) task.walk_end = end;
      }
    }
  }

  /// body(tile's first line, how many of them) for each tile of the walk.
  template <class Body>
  VOLT_DEVICE static void by_tiles(const Task& task, Body body) {
    for (int begin = task.walk_begin; begin < task.walk_end; begin += walk) {
      body(begin, task.walk_end - begin < walk ? task.walk_end - begin : walk);
    }
  }

  /// Who sees what of a tile; true once all have met when every query sees every key.
  VOLT_DEVICE void set_view(Shared& shared, const Task& task, int begin, int count) const {
    const int thread = static_cast<int>(thread_index());
    const int query = (owns_queries ? task.first : begin) + thread;
    const int key = owns_queries ? begin : task.first, keys = owns_queries ? count : task.count;
    sync_block();  // all have left the tile before
    bool partly = false;
    if (thread < (owns_queries ? task.count : count)) {
      const int from = job.first_of(query) - key, to = job.before() + query + 1 - key;
      shared.begin[thread] = from;
      shared.end[thread] = to < keys ? to : keys;
      partly = from > 0 || to < keys;
    } else {
      shared.begin[thread] = shared.end[thread] = 0;
    }
    partly = any_in_warp(partly);
    if (thread % 32 == 0) shared.partly[thread / 32] = partly;
  }

  VOLT_DEVICE static bool all_seen(const Shared& shared) {
    bool all = true;
    for (bool partly : shared.partly) all = all && !partly;
    return all;
  }

  VOLT_DEVICE static bool sees(const Shared& shared, int own, int other) {
    const int query = owns_queries ? own : other, key = owns_queries ? other : own;
    return shared.begin[query] <= key && key < shared.end[query];
  }

  /// m, 1 / l and t of a tile's queries.
  VOLT_DEVICE void load_queries(Shared& shared, int first, int count, std::uint32_t head) const {
    const auto thread = static_cast<int>(thread_index());
    if (thread >= count) return;
    const std::uint64_t query = first + thread;
    shared.m[thread] = job.m.data[query * job.m.stride + head];
    shared.inverse[thread] = 1.0f / job.l.data[query * job.l.stride + head];
    shared.t[thread] = job.t[query * job.heads + head];
  }

  /// Lines of q or dout, or of k or v.
  VOLT_DEVICE LinesAt queries_of(const View<const float>& view, std::uint32_t head, int first,
                                 int count) const {
    return {view.data + first * view.stride + std::uint64_t{head} * job.d(), view.stride, count};
  }
  VOLT_DEVICE LinesAt keys_of(const View<const float>& view, std::uint32_t head, int first,
                              int count) const {
    return queries_of(view, head / (job.heads / job.kv_heads), first, count);
  }

  /// The products of all pairs of the tile, before `scale`: of q and k, or of dout and v.
  VOLT_DEVICE void pair_up(Scores& acc, Tiles& tiles, const Task& task, std::uint32_t head,
                           int begin, int count, const View<const float>& of_queries,
                           const View<const float>& of_keys) const {
    if constexpr (owns_queries) {
      tiles.scores(acc, queries_of(of_queries, head, task.first, task.count),
                   keys_of(of_keys, head, begin, count));
    } else {
      tiles.scores(acc, keys_of(of_keys, head, task.first, task.count),
                   queries_of(of_queries, head, begin, count));
    }
  }

  /// Adds to acc what the walk brings for one head.
  VOLT_DEVICE void along(Shared& shared, Tiles& tiles, const Task& task, std::uint32_t head,
                         float (&acc)[Tiles::own][Tiles::wide]) const {
    by_tiles(task, [&](int begin, int count) {
      set_view(shared, task, begin, count);
      if constexpr (!owns_queries) load_queries(shared, begin, count, head);
      Scores scores;
      pair_up(scores, tiles, task, head, begin, count, job.q, job.k);
      if constexpr (part == Part::out) {
        exponentials(shared, tiles, scores);
      } else {
        probabilities(shared, tiles, scores);
      }
      tiles.keep(scores);
      if constexpr (part == Part::dq || part == Part::dk) {
        pair_up(scores, tiles, task, head, begin, count, job.dout, job.v);
        slopes(shared, tiles, scores);
        tiles.keep(scores);
      }
      const LinesAt lines = part == Part::out  ? keys_of(job.v, head, begin, count)
                            : part == Part::dq ? keys_of(job.k, head, begin, count)
                            : part == Part::dk ? queries_of(job.q, head, begin, count)
                                               : queries_of(job.dout, head, begin, count);
      tiles.weigh(acc, {lines.data + task.column, lines.stride, count}, job.d() - task.column,
                  fours, all_seen(shared),
                  [&](int own, int other) { return sees(shared, own, other); });
    });
  }

  /// change(value, query, own line, other line), in the tile, for all that the thread has.
  template <class Change>
  VOLT_DEVICE static void each(const Tiles& tiles, Scores& scores, Change change) {
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < Tiles::across; ++j) {
        const int own = tiles.place.row(i), other = tiles.place.template column<walk>(j);
        change(scores[i][j], owns_queries ? own : other, own, other);
      }
    }
  }

  /// e, and l's lanes with it.
  VOLT_DEVICE void exponentials(Shared& shared, const Tiles& tiles, Scores& scores) const {
    each(tiles, scores, [&](float& value, int query, int own, int other) {
      const float e = exp(value * job.scale - shared.m[query]);
      value = sees(shared, own, other) ? e : 0.0f;
    });
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < Tiles::across; j += 4) {
        Four& lanes =
            Tiles::four_of(shared.lane[tiles.place.row(i)][tiles.place.template column<walk>(j)]);
        Four sums = lanes;
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) sums.at[e] = sums.at[e] + scores[i][j + e];
        lanes = sums;
      }
    }
  }

  VOLT_DEVICE void probabilities(const Shared& shared, const Tiles& tiles, Scores& scores) const {
    each(tiles, scores, [&](float& value, int query, int, int) {
      value = exp(value * job.scale - shared.m[query]) * shared.inverse[query];
    });
  }

  /// ds from dp, with p where `keep` left it.
  VOLT_DEVICE void slopes(const Shared& shared, const Tiles& tiles, Scores& scores) const {
    each(tiles, scores, [&](float& value, int query, int own, int other) {
      const float p = shared.tiles.weight[other][own];
      value = (p * (value - shared.t[query])) * job.scale;
    });
  }

  /// m, of which the key says whose it is: of equal zeros the first stays.
  VOLT_DEVICE void find_greatest(Shared& shared, Tiles& tiles, const Task& task) const {
    float m[Tiles::own];
    std::uint32_t at[Tiles::own];
    for (int i = 0; i < Tiles::own; ++i) {
      m[i] = bits_float(infinity_bits | 0x80000000u);
      at[i] = ~std::uint32_t{0};
    }
    by_tiles(task, [&](int begin, int count) {
      set_view(shared, task, begin, count);
      Scores scores;
      pair_up(scores, tiles, task, task.head, begin, count, job.q, job.k);
      VOLT_UNROLL
      for (int i = 0; i < Tiles::own; ++i) {
        VOLT_UNROLL
        for (int j = 0; j < Tiles::across; ++j) {
          const int own = tiles.place.row(i), other = tiles.place.template column<walk>(j);
          const float s = scores[i][j] * job.scale;
          if (!(s > m[i]) || !sees(shared, own, other)) continue;
          m[i] = s;
          at[i] = static_cast<std::uint32_t>(begin + other);
        }
      }
    });
    float(&parts)[walk][rows + 4] = shared.tiles.weight;  // of a row, from 16 threads
    const int part_of = tiles.place.part();
    for (int i = 0; i < Tiles::own; ++i) {
      parts[part_of][tiles.place.row(i)] = m[i];
      parts[16 + part_of][tiles.place.row(i)] = bits_float(at[i]);
    }
    sync_block();
    const auto row = static_cast<int>(thread_index());
    if (row < rows) {
      float greatest = parts[0][row];
      std::uint32_t where = float_bits(parts[16][row]);
      for (int i = 1; i < 16; ++i) {
        const float other = parts[i][row];
        const std::uint32_t there = float_bits(parts[16 + i][row]);
        if (!(other > greatest || (other == greatest && there < where))) continue;
        greatest = other;
        where = there;
      }
      shared.m[row] = greatest;
      if (row < task.count && task.column == 0) {
        job.m_to.data[(task.first + row) * job.m_to.stride + task.head] = greatest;
      }
    }
    sync_block();
  }

  VOLT_DEVICE static void forget_lanes(Shared& shared, const Tiles& tiles) {
    for (int i = 0; i < Tiles::own; ++i) {
      for (int j = 0; j < Tiles::across; j += 4) {
        Tiles::four_of(shared.lane[tiles.place.row(i)][tiles.place.template column<walk>(j)]) = {};
      }
    }
  }

  /// The tree of sum128 for every row: l, and 1 / l. Lane 0 is the query's own first key.
  VOLT_DEVICE void sum_lanes(Shared& shared, const Task& task) const {
    const auto thread = static_cast<int>(thread_index());
    int(&first)[walk] = shared.begin;
    sync_block();
    if (thread < task.count) first[thread] = job.first_of(task.first + thread) - task.walk_begin;
    sync_block();
    const auto lane = [&](int row, int l) -> float& {
      return shared.lane[row][(first[row] + l) % walk];
    };
    for (int distance = walk / 2; distance != 0; distance /= 2) {
      for (int i = thread; i < task.count * distance; i += threads) {
        const int row = i / distance, l = i % distance;
        lane(row, l) = lane(row, l) + lane(row, l + distance);
      }
      sync_block();
    }
    if (thread < task.count) {
      const float l = lane(thread, 0);
      shared.inverse[thread] = 1.0f / l;
      if (task.column == 0) {
        job.l_to.data[(task.first + thread) * job.l_to.stride + task.head] = canonical(l);
      }
    }
    sync_block();
  }

  /// with(there, own) for each element of the result that there is.
  template <class With>
  VOLT_DEVICE void over_result(const Tiles& tiles, const Task& task, With with,
                               float (&acc)[Tiles::own][Tiles::wide]) const {
    const int left = job.d() - task.column;
    float* const corner =
        job.to.data + task.first * job.to.stride + std::uint64_t{task.head} * job.d() + task.column;
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < Tiles::wide; ++j) {
        const int row = tiles.place.row(i), column = tiles.place.template column<width>(j);
        if (row < task.count && column < left) {
          with(corner[row * job.to.stride + column], acc[i][j]);
        }
      }
    }
  }

  Heads job;
  std::uint32_t chunks;  // of a head's columns
  bool fours;            // the lines that are weighed lie at multiples of 16 bytes, and so do heads
};

template <Part part, int rows, int width>
Status attend(CudaStream stream, const Heads& job) {
  using Kernel = Attend<part, rows, width>;
  const std::uint64_t d = job.q.cols / job.heads, chunks = (d - 1) / width + 1;
  const std::uint64_t tiles = ((Kernel::owns_queries ? job.q.rows : job.k.rows) - 1) / rows + 1;
  const View<const float>& lines = part == Part::out  ? job.v
                                   : part == Part::dq ? job.k
                                   : part == Part::dk ? job.q
                                                      : job.dout;
  const bool fours =
      reinterpret_cast<std::uintptr_t>(lines.data) % 16 == 0 && lines.stride % 4 == 0 && d % 4 == 0;
  return launch(stream, tiles * (Kernel::owns_queries ? job.heads : job.kv_heads) * chunks,
                Kernel{job, static_cast<std::uint32_t>(chunks), fours});
}

template <Part part, int rows>
Status attend(CudaStream stream, const Heads& job) {
  return job.q.cols / job.heads <= 64 ? attend<part, rows, 64>(stream, job)
                                      : attend<part, rows, 128>(stream, job);
}

// A warp for each query and head.
struct Dots {
  static constexpr unsigned threads = 128, resident = 8;
  using Shared = Team<32>::Shared;

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint64_t i = std::uint64_t{block_index()} * (threads / 32) + thread_index() / 32;
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

template <class Job>
bool is_countable(const Job& job) {
  return (job.k.rows >> 30) == 0 && (job.q.cols >> 30) == 0;
}
constexpr Status too_large = {Status::invalid, "attention over more than 2^30 rows or columns"};

}  // namespace

Status cuda_attention(CudaStream stream, const Attention<Checked>& job) {
  if (!is_countable(job)) return too_large;
  const Heads heads = {job.q,   job.k,   job.v, {},    {},        {},           job.first,
                       nullptr, job.out, job.m, job.l, job.heads, job.kv_heads, job.scale};
  const bool large = sizeof(Attend<Part::out, 64, 128>::Shared) <= max_shared_bytes();
  return large && job.q.rows > 32 ? attend<Part::out, 64>(stream, heads)
                                  : attend<Part::out, 32>(stream, heads);
}

Status cuda_attention_backward(CudaStream stream, const AttentionBackward<Checked>& job, float* t) {
  if (!is_countable(job)) return too_large;
  Status status =
      launch(stream, (job.q.rows * job.heads - 1) / 4 + 1, Dots{job.out, job.dout, job.heads, t});
  const auto then = [&](Status (*part)(CudaStream, const Heads&), const View<float>& to) {
    if (status.code != Status::ok) return;
    status = part(stream, {job.q,
                           job.k,
                           job.v,
                           job.dout,
                           job.m,
                           job.l,
                           job.first,
                           t,
                           to,
                           {},
                           {},
                           job.heads,
                           job.kv_heads,
                           job.scale});
  };
  then(attend<Part::dq, 64>, job.dq);
  then(attend<Part::dk, 64>, job.dk);
  then(attend<Part::dv, 64>, job.dv);
  return status;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
