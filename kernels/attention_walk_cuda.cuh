// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention_tiles_cuda.cuh"
#include "network_functions.hpp"

/// What the kernels of attention share: a block owns a tile of queries and walks along the keys
/// that they see, or it owns keys and walks along the queries that see them, tile by tile.
namespace volt::kernels {
inline namespace VOLT_ISA {

/// The operands, of which a kernel has those that it needs. Rows are fewer than 2^30.
struct Heads {
  View<const float> q, k, v;
  View<const std::uint32_t> first;
  std::uint32_t heads, kv_heads;
  float scale;
  View<const float> dout, m, l;
  const float* t;  ///< [rows of q, heads]

  VOLT_DEVICE int d() const { return static_cast<int>(q.cols / heads); }
  VOLT_DEVICE std::uint32_t group() const { return heads / kv_heads; }
  VOLT_DEVICE int key_of(int query) const { return static_cast<int>(k.rows - q.rows) + query; }
  VOLT_DEVICE int first_of(int query) const {
    return static_cast<int>(first.data[key_of(query) * first.stride]);
  }

  /// Lines of q or dout, or of k or v, in the columns of a head of q.
  VOLT_DEVICE LinesAt queries(const View<const float>& view, std::uint32_t head, int begin,
                              int count) const {
    return {view.data + begin * view.stride + std::uint64_t{head} * d(), view.stride, count};
  }
  VOLT_DEVICE LinesAt keys(const View<const float>& view, std::uint32_t head, int begin,
                           int count) const {
    return queries(view, head / group(), begin, count);
  }
};

template <bool owns_queries_, int rows, int width>
struct Walk {
  using Tiles = AttentionTiles<rows, width>;
  using Scores = float[Tiles::own][Tiles::across];
  using Result = float[Tiles::own][Tiles::wide];
  static constexpr bool owns_queries = owns_queries_;
  static constexpr int step = Tiles::walk, threads = Tiles::threads;
  static constexpr int queries = owns_queries ? rows : step;  // of a tile

  /// Of the tile's queries, the keys of the tile that they see: from `begin` to before `end`; and
  /// by warps of threads, whether some query does not see all of them.
  struct Shared {
    int begin[threads], end[threads];
    bool partly[threads / 32];
  };

  /// Blocks with the most to walk come first: late queries, and early keys.
  VOLT_DEVICE Walk(Shared& s, const Heads& h, std::uint32_t chunks) : shared(s), heads(h) {
    const std::uint32_t sides = owns_queries ? h.heads : h.kv_heads;
    const std::uint32_t rest = block_index() / chunks, tiles = block_count() / (chunks * sides);
    const std::uint32_t tile = owns_queries ? tiles - 1 - rest / sides : rest / sides;
    const auto all = static_cast<int>(owns_queries ? h.q.rows : h.k.rows);
    first = static_cast<int>(tile) * rows;
    count = all - first < rows ? all - first : rows;
    head = rest % sides;
    column = static_cast<int>(block_index() % chunks) * width;
    find();
  }

  /// body(first line, how many) for each tile of the walk.
  template <class Body>
  VOLT_DEVICE void each_tile(Body body) const {
    for (int at = begin; at < end; at += step) body(at, end - at < step ? end - at : step);
  }

  /// Before anything else that is done with a tile. All threads must meet before it is used.
  VOLT_DEVICE void look(int at, int lines) const {
    const int thread = static_cast<int>(thread_index());
    const int key = owns_queries ? at : first, keys = owns_queries ? lines : count;
    sync_block();  // all have left the tile before
    bool partly = false;
    shared.begin[thread] = shared.end[thread] = 0;
    if (thread < (owns_queries ? count : lines)) {
      const int query = (owns_queries ? first : at) + thread;
      const int from = heads.first_of(query) - key, to = heads.key_of(query) + 1 - key;
      shared.begin[thread] = from;
      shared.end[thread] = to < keys ? to : keys;
      partly = from > 0 || to < keys;
    }
    partly = any_in_warp(partly);
    if (thread % 32 == 0) shared.partly[thread / 32] = partly;
  }
  VOLT_DEVICE bool all_seen() const {
    bool all = true;
    for (bool partly : shared.partly) all = all && !partly;
    return all;
  }
  VOLT_DEVICE bool sees(int own, int other) const {
    const int query = owns_queries ? own : other, key = owns_queries ? other : own;
    return shared.begin[query] <= key && key < shared.end[query];
  }

  /// The products of all pairs of the tile: of q and k, or of dout and v.
  VOLT_DEVICE void pair_up(Scores& scores, Tiles& tiles, std::uint32_t of_head, int at, int lines,
                           const View<const float>& of_queries,
                           const View<const float>& of_keys) const {
    if constexpr (owns_queries) {
      tiles.scores(scores, heads.queries(of_queries, of_head, first, count),
                   heads.keys(of_keys, of_head, at, lines));
    } else {
      tiles.scores(scores, heads.keys(of_keys, of_head, first, count),
                   heads.queries(of_queries, of_head, at, lines));
    }
  }

  /// change(value, query, own line, other line), in the tile, for all that the thread has.
  template <class Change>
  VOLT_DEVICE static void each_score(const Tiles& tiles, Scores& scores, Change change) {
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < Tiles::across; ++j) {
        const int own = tiles.place.row(i), other = tiles.place.template column<step>(j);
        change(scores[i][j], owns_queries ? own : other, own, other);
      }
    }
  }

  /// result += the weights that tiles.keep() kept, by lines of the walk.
  VOLT_DEVICE void weigh(Result& result, Tiles& tiles, LinesAt lines, bool fours) const {
    lines.data += column;
    tiles.weigh(result, lines, heads.d() - column, fours, all_seen(),
                [&](int own, int other) { return sees(own, other); });
  }

  /// with(there, own) for each element of the result that there is.
  template <class With>
  VOLT_DEVICE void over_result(const View<float>& to, const Tiles& tiles, Result& result,
                               With with) const {
    float* const corner = to.data + first * to.stride + std::uint64_t{head} * heads.d() + column;
    VOLT_UNROLL
    for (int i = 0; i < Tiles::own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < Tiles::wide; ++j) {
        const int row = tiles.place.row(i), c = tiles.place.template column<width>(j);
        if (row >= unseen && row < count && c < heads.d() - column) {
          with(corner[row * to.stride + c], result[i][j]);
        }
      }
    }
  }

  Shared& shared;
  const Heads& heads;
  int first, count;    ///< lines that the block owns
  int unseen = 0;      ///< of these, keys that no query sees: their gradients are not touched
  std::uint32_t head;  ///< of these
  int column;          ///< the first that it gives of the head's result
  int begin, end;      ///< of the walk

 private:
  VOLT_DEVICE void find() {
    const int last = first + count - 1, thread = static_cast<int>(thread_index());
    if constexpr (owns_queries) {
      shared.begin[thread] = heads.first_of(first + (thread < count ? thread : 0));
      sync_block();
      begin = heads.key_of(last);
      end = begin + 1;
      for (int from : shared.begin) begin = from < begin ? from : begin;
    } else {
      begin = first > heads.key_of(0) ? first - heads.key_of(0) : 0;
      end = 0;
      int seen = heads.key_of(0);  // the first key that is: each query sees its own
      for (int i = begin + thread; i < static_cast<int>(heads.q.rows); i += threads) {
        const int from = heads.first_of(i);
        if (from <= last) end = i + 1;
        seen = from < seen ? from : seen;
      }
      shared.begin[thread] = seen;
      shared.end[thread] = end;
      sync_block();
      for (int from : shared.begin) seen = from < seen ? from : seen;
      for (int to : shared.end) end = to > end ? to : end;
      unseen = seen > first ? seen - first : 0;
    }
  }
};

/// Whether the walk's lines lie at multiples of 16 bytes, and the columns of their heads, too.
inline bool in_fours(const View<const float>& lines, std::uint64_t d) {
  return reinterpret_cast<std::uintptr_t>(lines.data) % 16 == 0 && lines.stride % 4 == 0 &&
         d % 4 == 0;
}

/// The blocks of Kernel for all rows and heads of a side.
template <class Kernel>
Status launch_walks(CudaStream stream, Kernel kernel, std::uint64_t rows, std::uint64_t sides,
                    std::uint64_t d) {
  const std::uint64_t chunks = (d - 1) / Kernel::Tiles::width + 1;
  kernel.chunks = static_cast<std::uint32_t>(chunks);
  return launch(stream, ((rows - 1) / Kernel::Tiles::rows + 1) * sides * chunks, kernel);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
