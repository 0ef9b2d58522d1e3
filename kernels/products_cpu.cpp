// SPDX-License-Identifier: Apache-2.0

// Products on a CPU: cuts them into blocks for the threads and the caches. How it cuts changes no
// bit: C carries each element's chain from one panel of k to the next.

#include <algorithm>
#include <bit>

#include "cpu.hpp"
#include "exact.hpp"
#include "loops.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t panel_words = 512;      // along k: a tile of B stays in the caches
constexpr std::uint64_t panel_extent = 6144;    // rows and columns packed at a time, 3 MB each
constexpr std::uint64_t most_direct_f32 = 512;  // columns for which A is not packed
constexpr std::uint64_t least_narrow_k = 256;   // int8 as stored: or their sums take longer
constexpr std::uint64_t most_tile_lanes = 32;
constexpr std::uint64_t most_tile_groups = panel_words * 4 / group;

template <class T>
Side side_of(const View<const T>& matrix, bool k_contiguous, std::uint64_t lane, std::uint64_t k) {
  const std::uint64_t at = k_contiguous ? lane * matrix.stride + k : k * matrix.stride + lane;
  return {matrix.data + at, matrix.stride, k_contiguous};
}

Side side_a(const auto& job, std::uint64_t lane, std::uint64_t k) {
  return side_of(job.a, !k_is_rows_of_a(job.form), lane, k);
}

Side side_b(const auto& job, std::uint64_t lane, std::uint64_t k) {
  return side_of(job.b, !k_is_rows_of_b(job.form), lane, k);
}

// ---- panels, tile by tile

// The part of a product between two barriers: k elements from `k0` for rows and columns from
// `row0` and `col0`. Extents are those of the part.
struct Panel {
  std::uint64_t row0, rows, col0, cols, k0, k;
};

// Lanes of a panel: rows of A or columns of B, a tile's or a block of tiles'.
struct Lanes {
  std::uint64_t first, count;
};

// Packed tiles of one side, one after the other; start and scales only where a product has them.
struct Packed {
  std::uint32_t* words;
  std::int32_t* start;
  float* scales;
};

// What a lane takes of each.
struct LaneSize {
  std::uint64_t words, starts, scales;
  std::uint64_t total() const { return words + starts + scales; }
};

Packed packed_at(std::uint32_t* memory, std::uint64_t lanes, LaneSize size) {
  std::uint32_t* const start = memory + lanes * size.words;
  return {memory, reinterpret_cast<std::int32_t*>(start),
          reinterpret_cast<float*>(start + lanes * size.starts)};
}

Packed from(const Packed& packed, std::uint64_t lane, LaneSize size) {
  return {packed.words + lane * size.words, packed.start + lane * size.starts,
          packed.scales + lane * size.scales};
}

// How the tiles of a panel are shared out. A block's tiles of A stay in the second-level cache
// while those of B go by; the blocks along A are as many for each thread, and a few along B let a
// thread that was held up do fewer.
struct Blocks {
  std::uint64_t tiles_a, tiles_b;  // a block's sides
  std::uint64_t along_a, count;
};

Blocks blocks_of(std::uint64_t tiles_a, std::uint64_t tiles_b, std::uint64_t threads) {
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

// Which side is packed a tile at a time and multiplied at once, while it is in the nearest cache:
// the one with many tiles where the other has few. `direct` is a side A that is not packed at all.
enum class Streamed { none, a, b };
constexpr std::uint64_t few_lanes = 256;

// A product over its panels, in an order that has k ascending for every element of C. `Kind` says
// how its tiles are packed and multiplied.
template <class Kind>
class Panels {
 public:
  Panels(Context& context, const Kind& kind)
      : context_(context),
        loops_(*context.engine.loops),
        kind_(kind),
        most_(kind.size(std::min(kind.panel_k(), kind.job.k))) {}

  // False if there is no memory.
  bool run() {
    const auto& job = kind_.job;
    streamed_ = job.m <= few_lanes                      ? Streamed::b
                : job.n <= few_lanes && !kind_.direct() ? Streamed::a
                                                        : Streamed::none;
    panel_k_ = kind_.panel_k();
    if (streamed_ == Streamed::b && k_is_rows_of_b(job.form)) {
      // The fewer rows, the more reading B costs, and the more its pieces gain from being long.
      at_a_time_ =
          std::bit_floor(std::clamp<std::uint64_t>(few_lanes / job.m, 1, kind_.most_at_a_time()));
      panel_k_ /= at_a_time_;
    }
    const bool packs_a = !kind_.direct() && streamed_ != Streamed::a;
    const std::uint64_t lanes_a = packs_a ? room(job.m, loops_.tile_rows) : 0;
    const std::uint64_t lanes_b = streamed_ != Streamed::b ? room(job.n, loops_.tile_cols) : 0;
    const std::uint64_t bytes = 4 * (lanes_a + lanes_b) * most_.total();
    if (context_.scratch.bytes() < bytes && !context_.scratch.take(bytes)) return false;
    auto* const memory = reinterpret_cast<std::uint32_t*>(context_.scratch.data());
    b_ = packed_at(memory, lanes_b, most_);  // first, for its tiles are whole cache lines
    a_ = packed_at(memory + lanes_b * most_.total(), lanes_a, most_);
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
    const LaneSize size = kind_.size(p.k);
    const std::uint64_t tiles_a = ceil_div(p.rows, loops_.tile_rows);
    const std::uint64_t tiles_b = ceil_div(p.cols, loops_.tile_cols);
    const bool shared = p.rows * p.cols * p.k >= 8 * worth_sharing;
    const std::uint64_t packed_a = kind_.direct() || streamed_ == Streamed::a ? 0 : tiles_a;
    const std::uint64_t packed_b = streamed_ == Streamed::b ? 0 : tiles_b;
    context_.pool.each(packed_a + packed_b, shared, [&](std::uint64_t tile) {
      if (tile < packed_a) {
        const Lanes lanes = rows(p, tile);
        kind_.pack_a(p, lanes, from(a_, lanes.first, size));
      } else {
        const Lanes lanes = cols(p, tile - packed_a);
        kind_.pack_b(p, lanes, from(b_, lanes.first, size));
      }
    });
    const Lanes all_rows = {0, p.rows}, all_cols = {0, p.cols};
    if (streamed_ == Streamed::none) {
      const Blocks blocks = blocks_of(tiles_a, tiles_b, shared ? context_.pool.threads() : 1u);
      context_.pool.each(blocks.count, shared, [&](std::uint64_t block) {
        const Lanes r = rows(p, block % blocks.along_a * blocks.tiles_a, blocks.tiles_a);
        const Lanes c = cols(p, block / blocks.along_a * blocks.tiles_b, blocks.tiles_b);
        kind_.multiply(p, r, c, from(a_, r.first, size), from(b_, c.first, size));
      });
      return;
    }
    const std::uint64_t tiles = streamed_ == Streamed::a ? tiles_a : tiles_b;
    in_pieces(context_, tiles, at_a_time_, shared, [&](std::uint64_t tile, std::uint64_t count) {
      alignas(64) std::uint32_t memory[most_tile_lanes * (panel_words + 2 * most_tile_groups)];
      if (streamed_ == Streamed::a) {
        const Packed a = packed_at(memory, loops_.tile_rows, size);
        kind_.pack_a(p, rows(p, tile), a);
        kind_.multiply(p, rows(p, tile), all_cols, a, b_);
      } else {
        const Packed b = packed_at(memory, count * loops_.tile_cols, size);
        for (std::uint64_t i = 0; i < count; ++i) {
          kind_.pack_b(p, cols(p, tile + i), from(b, i * loops_.tile_cols, size));
        }
        kind_.multiply(p, all_rows, cols(p, tile, count), a_, b);
      }
    });
  }

  Context& context_;
  const Loops& loops_;
  const Kind& kind_;
  const LaneSize most_;
  Streamed streamed_ = Streamed::none;
  std::uint64_t at_a_time_ = 1;  // tiles of the streamed side
  std::uint64_t panel_k_;
  Packed a_ = {}, b_ = {};
};

template <class Job>
auto* c_at(const Job& job, const Panel& p, const Lanes& rows, const Lanes& cols) {
  return job.c.data + (p.row0 + rows.first) * job.c.stride + p.col0 + cols.first;
}

struct KindF32x {
  const Loops& loops;
  const Product<float, float>& job;

  bool direct() const { return !k_is_rows_of_a(job.form) && job.n <= most_direct_f32; }
  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words; }
  LaneSize size(std::uint64_t k) const { return {k, 0, 0}; }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    loops.pack_f32(reinterpret_cast<float*>(to.words), side_a(job, p.row0 + lanes.first, p.k0),
                   lanes.count, loops.tile_rows, p.k);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    loops.pack_f32(reinterpret_cast<float*>(to.words), side_b(job, p.col0 + lanes.first, p.k0),
                   lanes.count, loops.tile_cols, p.k);
  }
  void multiply(const Panel& p, const Lanes& rows, const Lanes& cols, const Packed& a,
                const Packed& b) const {
    float* const c = c_at(job, p, rows, cols);
    const auto* const words_b = reinterpret_cast<const float*>(b.words);
    if (direct()) {
      loops.rows_f32(job.a.data + (p.row0 + rows.first) * job.a.stride + p.k0, job.a.stride,
                     words_b, p.k, c, job.c.stride, rows.count, cols.count);
    } else {
      loops.block_f32(reinterpret_cast<const float*>(a.words), words_b, p.k, c, job.c.stride,
                      rows.count, cols.count);
    }
  }
};

struct KindI8 {
  const Loops& loops;
  const Product<std::int8_t, std::int32_t>& job;

  bool direct() const { return false; }
  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words * loops.unit; }
  LaneSize size(std::uint64_t k) const { return {ceil_div(k, loops.unit), 1, 0}; }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    Side side = side_a(job, p.row0 + lanes.first, p.k0);
    std::int8_t limbs[most_tile_lanes * panel_words * 4];
    if (job.form == Form::limbs) {
      const auto* const bytes = static_cast<const std::int8_t*>(side.data);
      for (std::uint64_t i = 0; i < lanes.count; ++i) {
        for (std::uint64_t k = 0; k < p.k; ++k) {
          limbs[i * p.k + k] = limb(bytes[i * side.stride + k], k);
        }
      }
      side = {limbs, p.k, true};
    }
    loops.pack_i8_a(to.words, side, lanes.count, p.k);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    loops.pack_i8_b(to.words, to.start, side_b(job, p.col0 + lanes.first, p.k0), lanes.count, p.k,
                    size(p.k).words);
  }
  void multiply(const Panel& p, const Lanes& rows, const Lanes& cols, const Packed& a,
                const Packed& b) const {
    loops.block_i8(a.words, b.words, b.start, size(p.k).words, c_at(job, p, rows, cols),
                   job.c.stride, rows.count, cols.count);
  }
};

// The scales of one tile, group x lane; lanes beyond the matrix get 0.
void pack_scales(float* to, const View<const float>& scales, bool k_contiguous, std::uint64_t lane,
                 std::uint64_t lanes, std::uint64_t width, std::uint64_t first,
                 std::uint64_t groups) {
  for (std::uint64_t g = 0; g < groups; ++g) {
    for (std::uint64_t i = 0; i < width; ++i) {
      const std::uint64_t l = lane + i, k = first + g;
      to[g * width + i] =
          i < lanes ? scales.data[k_contiguous ? l * scales.stride + k : k * scales.stride + l]
                    : 0.0f;
    }
  }
}

struct KindI8x {
  const Loops& loops;
  const QuantisedProduct& job;

  bool direct() const { return false; }
  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words * loops.unit; }  // whole groups
  LaneSize size(std::uint64_t k) const {
    return {ceil_div(k, loops.unit), ceil_div(k, group), ceil_div(k, group)};
  }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    loops.pack_i8_a(to.words, side_a(job, p.row0 + lanes.first, p.k0), lanes.count, p.k);
    pack_scales(to.scales, job.scales_a, !k_is_rows_of_a(job.form), p.row0 + lanes.first,
                lanes.count, loops.tile_rows, p.k0 / group, size(p.k).scales);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    loops.pack_i8_b(to.words, to.start, side_b(job, p.col0 + lanes.first, p.k0), lanes.count, p.k,
                    group / loops.unit);
    pack_scales(to.scales, job.scales_b, !k_is_rows_of_b(job.form), p.col0 + lanes.first,
                lanes.count, loops.tile_cols, p.k0 / group, size(p.k).scales);
  }
  void multiply(const Panel& p, const Lanes& rows, const Lanes& cols, const Packed& a,
                const Packed& b) const {
    loops.block_i8x(a.words, b.words, b.start, a.scales, b.scales, size(p.k).words,
                    c_at(job, p, rows, cols), job.c.stride, rows.count, cols.count);
  }
};

struct KindI8x2 {
  const Loops& loops;
  const LimbsProduct& job;

  bool direct() const { return false; }
  std::uint64_t most_at_a_time() const { return std::min<std::uint64_t>(8, panel_k() / group); }
  std::uint64_t panel_k() const { return panel_words / 2 * loops.unit; }  // whole groups
  LaneSize size(std::uint64_t k) const {
    const std::uint64_t groups = ceil_div(k, group);
    return {2 * groups * group / loops.unit, 2 * groups, groups};
  }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const bool k_contiguous = !k_is_rows_of_a(job.form);
    const std::uint64_t lane = p.row0 + lanes.first;
    loops.pack_limbs_a(to.words, side_of(job.a, k_contiguous, lane, p.k0),
                       side_of(job.low_a, k_contiguous, lane, p.k0), lanes.count, p.k);
    pack_scales(to.scales, job.scales_a, k_contiguous, lane, lanes.count, loops.tile_rows,
                p.k0 / group, size(p.k).scales);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const bool k_contiguous = !k_is_rows_of_b(job.form);
    const std::uint64_t lane = p.col0 + lanes.first;
    loops.pack_limbs_b(to.words, to.start, side_of(job.b, k_contiguous, lane, p.k0),
                       side_of(job.low_b, k_contiguous, lane, p.k0), lanes.count, p.k);
    pack_scales(to.scales, job.scales_b, k_contiguous, lane, lanes.count, loops.tile_cols,
                p.k0 / group, size(p.k).scales);
  }
  void multiply(const Panel& p, const Lanes& rows, const Lanes& cols, const Packed& a,
                const Packed& b) const {
    loops.block_i8x2(a.words, b.words, b.start, a.scales, b.scales, ceil_div(p.k, loops.unit),
                     c_at(job, p, rows, cols), job.c.stride, rows.count, cols.count);
  }
};

// As KindF32x once the operands of a tile are expanded.
struct KindBf16 {
  const Loops& loops;
  const Product<std::uint16_t, float>& job;

  bool direct() const { return false; }
  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words; }
  LaneSize size(std::uint64_t k) const { return {k, 0, 0}; }
  void pack(const Side& side, const Lanes& lanes, std::uint64_t width, std::uint64_t k,
            const Packed& to) const {
    const auto* const halves = static_cast<const std::uint16_t*>(side.data);
    const std::uint64_t rows = side.k_contiguous ? lanes.count : k;
    const std::uint64_t cols = side.k_contiguous ? k : lanes.count;
    float values[most_tile_lanes * panel_words];
    for (std::uint64_t i = 0; i < rows; ++i) {
      for (std::uint64_t j = 0; j < cols; ++j) {
        values[i * cols + j] = from_bf16(halves[i * side.stride + j]);
      }
    }
    loops.pack_f32(reinterpret_cast<float*>(to.words), {values, cols, side.k_contiguous},
                   lanes.count, width, k);
  }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    pack(side_a(job, p.row0 + lanes.first, p.k0), lanes, loops.tile_rows, p.k, to);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    pack(side_b(job, p.col0 + lanes.first, p.k0), lanes, loops.tile_cols, p.k, to);
  }
  void multiply(const Panel& p, const Lanes& rows, const Lanes& cols, const Packed& a,
                const Packed& b) const {
    loops.block_f32(reinterpret_cast<const float*>(a.words),
                    reinterpret_cast<const float*>(b.words), p.k, c_at(job, p, rows, cols),
                    job.c.stride, rows.count, cols.count);
  }
};

// k = 0 has no panel, but the result has one NaN all the same.
template <class Job>
void canonical_c(const Job& job) {
  for (std::uint64_t i = 0; i < job.m; ++i) {
    float* row = job.c.data + i * job.c.stride;
    for (std::uint64_t j = 0; j < job.n; ++j) row[j] = canonical(row[j]);
  }
}

// ---- so few columns that A is not packed

bool narrow_i8(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  constexpr std::uint64_t lanes = 8, step = 64, rows_at_a_time = 48;
  const Loops& loops = *context.engine.loops;
  const std::uint64_t length = ceil_div(job.k, step) * step, groups = ceil_div(job.n, lanes);
  const std::uint64_t bytes = groups * lanes * (length + 4);
  if (context.scratch.bytes() < bytes && !context.scratch.take(bytes)) return false;
  auto* const b = reinterpret_cast<std::int8_t*>(context.scratch.data());
  auto* const start = reinterpret_cast<std::int32_t*>(b + groups * lanes * length);
  const bool shared = job.m * job.n * job.k >= 8 * worth_sharing;
  context.pool.each(groups, shared, [&](std::uint64_t i) {
    const std::uint64_t col = i * lanes;
    loops.pack_narrow(b + col * length, start + col, side_b(job, col, 0),
                      std::min(lanes, job.n - col), job.k);
  });
  const std::uint32_t flip = job.form == Form::limbs ? limbs_flip : 0;
  in_pieces(context, job.m, rows_at_a_time, shared, [&](std::uint64_t row, std::uint64_t rows) {
    loops.rows_i8(job.a.data + row * job.a.stride, job.a.stride, flip, b, start, job.k,
                  job.c.data + row * job.c.stride, job.c.stride, rows, job.n);
  });
  return true;
}

// ---- diagonals, in pieces of many lanes

constexpr std::uint64_t diagonal_piece = 512;

bool diagonal(Context& context, const Product<float, float>& job) {
  in_pieces(context, job.m, diagonal_piece, job.m * job.k >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->diagonal_f32(side_a(job, first, 0), side_b(job, first, 0),
                                                 count, job.k, job.c.data + first * job.c.stride,
                                                 job.c.stride);
            });
  return true;
}

bool diagonal(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  in_pieces(context, job.m, diagonal_piece, job.m * job.k >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->diagonal_i8(side_a(job, first, 0), side_b(job, first, 0), count,
                                                job.k, job.c.data + first * job.c.stride,
                                                job.c.stride);
            });
  return true;
}

bool diagonal(Context& context, const QuantisedProduct& job) {
  const auto scale = [](const View<const float>& scales, bool k_contiguous, std::uint64_t lane,
                        std::uint64_t g) {
    return scales.data[k_contiguous ? lane * scales.stride + g : g * scales.stride + lane];
  };
  in_pieces(context, job.m, diagonal_piece, job.m * job.k >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              float* const c = job.c.data + first * job.c.stride;
              for (std::uint64_t k = 0; k < job.k; k += group) {
                std::int32_t sums[diagonal_piece] = {};
                context.engine.loops->diagonal_i8(side_a(job, first, k), side_b(job, first, k),
                                                  count, std::min(group, job.k - k), sums, 1);
                for (std::uint64_t i = 0; i < count; ++i) {
                  const std::uint64_t lane = first + i, g = k / group;
                  float& element = c[i * job.c.stride];
                  element = i8x_step(element, sums[i],
                                     scale(job.scales_a, !k_is_rows_of_a(job.form), lane, g),
                                     scale(job.scales_b, !k_is_rows_of_b(job.form), lane, g));
                }
              }
              for (std::uint64_t i = 0; i < count; ++i) {
                c[i * job.c.stride] = canonical(c[i * job.c.stride]);
              }
            });
  return true;
}

}  // namespace

bool cpu_f32x(Context& context, const Product<float, float>& job) {
  if (is_diagonal(job.form)) return diagonal(context, job);
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  return Panels(context, KindF32x{*context.engine.loops, job}).run();
}

bool cpu_i8(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  if (is_diagonal(job.form)) return diagonal(context, job);
  if (job.n <= most_narrow && context.engine.loops->rows_i8 != nullptr &&
      !k_is_rows_of_a(job.form) && job.k >= least_narrow_k) {
    return narrow_i8(context, job);
  }
  return Panels(context, KindI8{*context.engine.loops, job}).run();
}

bool cpu_i8x(Context& context, const QuantisedProduct& job) {
  if (is_diagonal(job.form)) return diagonal(context, job);
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  return Panels(context, KindI8x{*context.engine.loops, job}).run();
}

bool cpu_bf16(Context& context, const Product<std::uint16_t, float>& job) {
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  return Panels(context, KindBf16{*context.engine.loops, job}).run();
}

bool cpu_i8x2(Context& context, const LimbsProduct& job) {
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  return Panels(context, KindI8x2{*context.engine.loops, job}).run();
}

}  // namespace volt::kernels
