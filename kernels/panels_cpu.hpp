// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>

#include "cpu.hpp"
#include "loops.hpp"

/// How products on a CPU are cut into panels for the caches, and these into blocks for the threads.
/// It changes no bit: C carries each element's chain from one panel of k to the next.
namespace volt::kernels {

constexpr std::uint64_t panel_words = 512;    ///< along k: a tile of B stays in the caches
constexpr std::uint64_t panel_extent = 6144;  ///< rows and columns packed at a time, 3 MB each
constexpr std::uint64_t most_tile_lanes = 32;
constexpr std::uint64_t most_tile_groups = panel_words * 4 / group;

/// The part of a product between two barriers: k elements from `k0` for rows and columns from
/// `row0` and `col0`. Extents are those of the part.
struct Panel {
  std::uint64_t row0, rows, col0, cols, k0, k;
};

/// Lanes of a panel: rows of A or columns of B, a tile's or a block of tiles'.
struct Lanes {
  std::uint64_t first, count;
};

/// Packed tiles of one side, one after the other; start and scales only where a product has them.
struct Packed {
  std::uint32_t* words;
  std::int32_t* start;
  float* scales;
};

/// What a lane takes of each.
struct LaneSize {
  std::uint64_t words, starts, scales;
  std::uint64_t total() const { return words + starts + scales; }
};

inline Packed packed_at(std::uint32_t* memory, std::uint64_t lanes, LaneSize size) {
  std::uint32_t* const start = memory + lanes * size.words;
  return {memory, reinterpret_cast<std::int32_t*>(start),
          reinterpret_cast<float*>(start + lanes * size.starts)};
}

inline Packed from(const Packed& packed, std::uint64_t lane, LaneSize size) {
  return {packed.words + lane * size.words, packed.start + lane * size.starts,
          packed.scales + lane * size.scales};
}

/// How the tiles of a panel are shared out. A block's tiles of A stay in the second-level cache
/// while those of B go by; the blocks along A are as many for each thread, and a few along B let a
/// thread that was held up do fewer.
struct Blocks {
  std::uint64_t tiles_a, tiles_b;  ///< a block's sides
  std::uint64_t along_a, count;
};

inline Blocks blocks_of(std::uint64_t tiles_a, std::uint64_t tiles_b, std::uint64_t threads) {
  constexpr std::uint64_t most_a = 16, least_b = 4;
  const std::uint64_t parts_a =
      std::min(tiles_a, ceil_div(ceil_div(tiles_a, most_a), threads) * threads);
  const std::uint64_t parts_b = std::clamp<std::uint64_t>(
      threads == 1 ? 1 : ceil_div(16 * threads, parts_a), 1, ceil_div(tiles_b, least_b));
  Blocks blocks = {ceil_div(tiles_a, parts_a), ceil_div(tiles_b, parts_b), 0, 0};
  blocks.along_a = ceil_div(tiles_a, blocks.tiles_a);
  blocks.count = blocks.along_a * ceil_div(tiles_b, blocks.tiles_b);
  return blocks;
}

/// Which side is packed a tile at a time and multiplied at once, while it is in the nearest cache:
/// the one with many tiles where the other has few.
enum class Streamed { none, a, b };
constexpr std::uint64_t few_lanes = 256;

/// A product over its panels, in an order that has k ascending for every element of C. `Kind` says
/// how its tiles are packed and multiplied.
template <class Kind>
class Panels {
 public:
  Panels(Context& context, const Kind& kind)
      : context_(context),
        loops_(*context.engine.loops),
        kind_(kind),
        most_a_(kind.size_a(std::min(kind.panel_k(), kind.job.k))),
        most_b_(kind.size_b(std::min(kind.panel_k(), kind.job.k))) {}

  /// False if there is no memory.
  bool run() {
    const auto& job = kind_.job;
    streamed_ = job.m <= few_lanes                           ? Streamed::b
                : job.n <= few_lanes && most_a_.total() != 0 ? Streamed::a
                                                             : Streamed::none;
    panel_k_ = kind_.panel_k();
    if (streamed_ == Streamed::b && k_is_rows_of_b(job.form)) {
      // The fewer rows, the more reading B costs, and the more its pieces gain from being long.
      at_a_time_ =
          std::bit_floor(std::clamp<std::uint64_t>(few_lanes / job.m, 1, kind_.most_at_a_time()));
      panel_k_ /= at_a_time_;
    }
    const bool packs_a = most_a_.total() != 0 && streamed_ != Streamed::a;
    const std::uint64_t lanes_a = packs_a ? room(job.m, loops_.tile_rows) : 0;
    const std::uint64_t lanes_b = streamed_ != Streamed::b ? room(job.n, loops_.tile_cols) : 0;
    const std::uint64_t words_b = lanes_b * most_b_.total();
    const std::uint64_t bytes = 4 * (lanes_a * most_a_.total() + words_b);
    if (context_.scratch.bytes() < bytes && !context_.scratch.take(bytes)) return false;
    auto* const memory = reinterpret_cast<std::uint32_t*>(context_.scratch.data());
    b_ = packed_at(memory, lanes_b, most_b_);  // first, for its tiles are whole cache lines
    a_ = packed_at(memory + words_b, lanes_a, most_a_);
    for (std::uint64_t row = 0; row < job.m; row += panel_extent) {
      for (std::uint64_t col = 0; col < job.n; col += panel_extent) {
        for (std::uint64_t k = 0; k < job.k; k += panel_k_) {
          over({row, std::min(panel_extent, job.m - row), col, std::min(panel_extent, job.n - col),
                k, std::min(panel_k_, job.k - k)});
        }
      }
    }
    return true;
  }

 private:
  static std::uint64_t room(std::uint64_t extent, std::uint64_t tile) {
    return ceil_div(std::min(extent, panel_extent), tile) * tile;
  }
  static Lanes tiles(std::uint64_t first, std::uint64_t count, std::uint64_t width,
                     std::uint64_t extent) {
    return {first * width, std::min(count * width, extent - first * width)};
  }
  Lanes rows(const Panel& p, std::uint64_t tile, std::uint64_t count = 1) const {
    return tiles(tile, count, loops_.tile_rows, p.rows);
  }
  Lanes cols(const Panel& p, std::uint64_t tile, std::uint64_t count = 1) const {
    return tiles(tile, count, loops_.tile_cols, p.cols);
  }

  // Packed by all threads, and then multiplied by all threads.
  void over(const Panel& p) {
    const LaneSize size_a = kind_.size_a(p.k), size_b = kind_.size_b(p.k);
    const std::uint64_t tiles_a = ceil_div(p.rows, loops_.tile_rows);
    const std::uint64_t tiles_b = ceil_div(p.cols, loops_.tile_cols);
    const bool shared = p.rows * p.cols * p.k >= 8 * worth_sharing;
    const std::uint64_t packed_a = size_a.total() == 0 || streamed_ == Streamed::a ? 0 : tiles_a;
    const std::uint64_t packed_b = streamed_ == Streamed::b ? 0 : tiles_b;
    // A thread packs as large a part of A as of B, and of B what it will multiply: what another
    // core has packed takes long to reach.
    const auto before_a = [&](std::uint64_t i) { return i * packed_a / (packed_a + packed_b); };
    context_.pool.each(packed_a + packed_b, shared, [&](std::uint64_t i) {
      const std::uint64_t tile = before_a(i);
      if (tile != before_a(i + 1)) {
        const Lanes lanes = rows(p, tile);
        kind_.pack_a(p, lanes, from(a_, lanes.first, size_a));
      } else {
        const Lanes lanes = cols(p, i - tile);
        kind_.pack_b(p, lanes, from(b_, lanes.first, size_b));
      }
    });
    const Lanes all_rows = {0, p.rows}, all_cols = {0, p.cols};
    if (streamed_ == Streamed::none) {
      const Blocks blocks = blocks_of(tiles_a, tiles_b, shared ? context_.pool.threads() : 1u);
      context_.pool.each(blocks.count, shared, [&](std::uint64_t block) {
        const Lanes r = rows(p, block % blocks.along_a * blocks.tiles_a, blocks.tiles_a);
        const Lanes c = cols(p, block / blocks.along_a * blocks.tiles_b, blocks.tiles_b);
        kind_.multiply(p, r, c, from(a_, r.first, size_a), from(b_, c.first, size_b));
      });
      return;
    }
    const std::uint64_t tiles = streamed_ == Streamed::a ? tiles_a : tiles_b;
    in_pieces(context_, tiles, at_a_time_, shared, [&](std::uint64_t tile, std::uint64_t count) {
      alignas(64) std::uint32_t memory[most_tile_lanes * (panel_words + 2 * most_tile_groups)];
      if (streamed_ == Streamed::a) {
        const Packed a = packed_at(memory, loops_.tile_rows, size_a);
        kind_.pack_a(p, rows(p, tile), a);
        kind_.multiply(p, rows(p, tile), all_cols, a, b_);
      } else {
        const Packed b = packed_at(memory, count * loops_.tile_cols, size_b);
        for (std::uint64_t i = 0; i < count; ++i) {
          kind_.pack_b(p, cols(p, tile + i), from(b, i * loops_.tile_cols, size_b));
        }
        kind_.multiply(p, all_rows, cols(p, tile, count), a_, b);
      }
    });
  }

  Context& context_;
  const Loops& loops_;
  const Kind& kind_;
  const LaneSize most_a_, most_b_;
  Streamed streamed_ = Streamed::none;
  std::uint64_t at_a_time_ = 1;  // tiles of the streamed side
  std::uint64_t panel_k_;
  Packed a_ = {}, b_ = {};
};

}  // namespace volt::kernels
