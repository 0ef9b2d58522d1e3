// SPDX-License-Identifier: Apache-2.0

// Products on a CPU: cuts them into blocks for the threads and the caches. How it cuts changes no
// bit: C carries each element's chain from one panel of k to the next.

#include <algorithm>

#include "cpu.hpp"
#include "exact.hpp"
#include "loops.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t panel_words = 512;     // along k: a tile of B fits the first-level cache
constexpr std::uint64_t panel_extent = 6144;   // rows and columns packed at a time, 3 MB each
constexpr std::uint64_t most_direct_f32 = 16;  // tiles of B for which A is not packed
constexpr std::uint64_t least_narrow_k = 256;  // int8 as stored: or their sums take longer
constexpr std::uint64_t most_tile_rows = 16;

template <class T>
Side side_of(const View<const T>& matrix, bool k_contiguous, std::uint64_t lane, std::uint64_t k) {
  const std::uint64_t at = k_contiguous ? lane * matrix.stride + k : k * matrix.stride + lane;
  return {matrix.data + at, matrix.stride, k_contiguous};
}

// The part of a product between two barriers: k elements from `k0` for rows and columns from
// `row0` and `col0`. Extents are those of the part.
struct Panel {
  std::uint64_t row0, rows, col0, cols, k0, k;
};

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
      threads == 1 ? 1 : ceil_div(4 * threads, parts_a), 1, ceil_div(tiles_b, least_b));
  Blocks blocks = {ceil_div(tiles_a, parts_a), ceil_div(tiles_b, parts_b), 0, 0};
  blocks.along_a = ceil_div(tiles_a, blocks.tiles_a);
  blocks.count = blocks.along_a * ceil_div(tiles_b, blocks.tiles_b);
  return blocks;
}

// Panels in an order that has k ascending for every element of C. Each is packed by all threads and
// then multiplied by all threads.
// With `direct` A is not packed.
template <class Job, class Pack, class Multiply>
void over_panels(Context& context, const Job& job, std::uint64_t panel_k, bool direct, Pack pack,
                 Multiply multiply) {
  const Loops& loops = *context.engine.loops;
  for (std::uint64_t row = 0; row < job.m; row += panel_extent) {
    for (std::uint64_t col = 0; col < job.n; col += panel_extent) {
      for (std::uint64_t k = 0; k < job.k; k += panel_k) {
        const Panel panel = {row, std::min(panel_extent, job.m - row),
                             col, std::min(panel_extent, job.n - col),
                             k,   std::min(panel_k, job.k - k)};
        const std::uint64_t tiles_a = ceil_div(panel.rows, loops.tile_rows);
        const std::uint64_t tiles_b = ceil_div(panel.cols, loops.tile_cols);
        const bool shared = panel.rows * panel.cols * panel.k >= 8 * worth_sharing;
        const std::uint64_t packed_a = direct ? 0 : tiles_a;
        context.pool.each(packed_a + tiles_b, shared, [&](std::uint64_t tile) {
          if (tile < packed_a) {
            pack(panel, true, tile,
                 std::min<std::uint64_t>(loops.tile_rows, panel.rows - tile * loops.tile_rows));
          } else {
            tile -= packed_a;
            pack(panel, false, tile,
                 std::min<std::uint64_t>(loops.tile_cols, panel.cols - tile * loops.tile_cols));
          }
        });
        const Blocks blocks = blocks_of(tiles_a, tiles_b, shared ? context.pool.threads() : 1u);
        context.pool.each(blocks.count, shared, [&](std::uint64_t block) {
          const std::uint64_t tile_a = block % blocks.along_a * blocks.tiles_a;
          const std::uint64_t tile_b = block / blocks.along_a * blocks.tiles_b;
          multiply(
              panel, tile_a, tile_b,
              std::min(blocks.tiles_a * loops.tile_rows, panel.rows - tile_a * loops.tile_rows),
              std::min(blocks.tiles_b * loops.tile_cols, panel.cols - tile_b * loops.tile_cols));
        });
      }
    }
  }
}

// Room for 32-bit words, kept for the next operation.
std::uint32_t* scratch_words(Context& context, std::uint64_t words) {
  if (context.scratch.bytes() < words * 4 && !context.scratch.take(words * 4)) return nullptr;
  return reinterpret_cast<std::uint32_t*>(context.scratch.data());
}

// Lanes of packed operands, in whole tiles.
std::uint64_t lanes_of(std::uint64_t extent, std::uint64_t tile) {
  return ceil_div(std::min(extent, panel_extent), tile) * tile;
}

// k = 0 has no panel, but the result has one NaN all the same.
template <class Job>
void canonical_c(const Job& job) {
  for (std::uint64_t i = 0; i < job.m; ++i) {
    float* row = job.c.data + i * job.c.stride;
    for (std::uint64_t j = 0; j < job.n; ++j) row[j] = canonical(row[j]);
  }
}

// ---- diagonals, in pieces of many lanes

Side lanes_of_a(const auto& job, std::uint64_t lane, std::uint64_t k = 0) {
  return side_of(job.a, job.form != Form::atb_diagonal, lane, k);
}

Side lanes_of_b(const auto& job, std::uint64_t lane, std::uint64_t k = 0) {
  return side_of(job.b, job.form == Form::abt_diagonal, lane, k);
}

constexpr std::uint64_t diagonal_piece = 512;

bool diagonal(Context& context, const Product<float, float>& job) {
  in_pieces(context, job.m, diagonal_piece, job.m * job.k >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->diagonal_f32(lanes_of_a(job, first), lanes_of_b(job, first),
                                                 count, job.k, job.c.data + first * job.c.stride,
                                                 job.c.stride);
            });
  return true;
}

bool diagonal(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  in_pieces(context, job.m, diagonal_piece, job.m * job.k >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->diagonal_i8(lanes_of_a(job, first), lanes_of_b(job, first),
                                                count, job.k, job.c.data + first * job.c.stride,
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
                context.engine.loops->diagonal_i8(lanes_of_a(job, first, k),
                                                  lanes_of_b(job, first, k), count,
                                                  std::min(group, job.k - k), sums, 1);
                for (std::uint64_t i = 0; i < count; ++i) {
                  const std::uint64_t lane = first + i, g = k / group;
                  float& element = c[i * job.c.stride];
                  element = i8x_step(element, sums[i],
                                     scale(job.scales_a, job.form != Form::atb_diagonal, lane, g),
                                     scale(job.scales_b, job.form == Form::abt_diagonal, lane, g));
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
  const Loops& loops = *context.engine.loops;
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  const std::uint64_t panel_k = std::min(panel_words, job.k);
  const bool direct = job.form != Form::atb && job.n <= most_direct_f32 * loops.tile_cols;
  const std::uint64_t size_a = direct ? 0 : lanes_of(job.m, loops.tile_rows) * panel_k;
  const std::uint64_t size_b = lanes_of(job.n, loops.tile_cols) * panel_k;
  auto* const b = reinterpret_cast<float*>(scratch_words(context, size_a + size_b));
  if (b == nullptr) return false;
  float* const a = b + size_b;  // after B, whose tiles are whole cache lines
  over_panels(
      context, job, panel_k, direct,
      [&](const Panel& p, bool of_a, std::uint64_t tile, std::uint64_t lanes) {
        const std::uint64_t width = of_a ? loops.tile_rows : loops.tile_cols;
        const Side side = of_a ? side_of(job.a, job.form != Form::atb, p.row0 + tile * width, p.k0)
                               : side_of(job.b, job.form == Form::abt, p.col0 + tile * width, p.k0);
        loops.pack_f32((of_a ? a : b) + tile * width * p.k, side, lanes, width, p.k);
      },
      [&](const Panel& p, std::uint64_t tile_a, std::uint64_t tile_b, std::uint64_t rows,
          std::uint64_t cols) {
        const std::uint64_t row = tile_a * loops.tile_rows, col = tile_b * loops.tile_cols;
        float* const c = job.c.data + (p.row0 + row) * job.c.stride + p.col0 + col;
        if (direct) {
          loops.rows_f32(job.a.data + (p.row0 + row) * job.a.stride + p.k0, job.a.stride,
                         b + col * p.k, p.k, c, job.c.stride, rows, cols);
        } else {
          loops.block_f32(a + row * p.k, b + col * p.k, p.k, c, job.c.stride, rows, cols);
        }
      });
  return true;
}

namespace {

// Packed int8 operands of one panel; scales only for i8x.
struct PackedI8 {
  std::uint32_t* a;
  std::uint32_t* b;
  std::int32_t* start;
  float* scales_a;
  float* scales_b;
};

bool allocate(Context& context, std::uint64_t m, std::uint64_t n, std::uint64_t words,
              std::uint64_t groups, PackedI8& packed) {
  const Loops& loops = *context.engine.loops;
  const std::uint64_t lanes_a = lanes_of(m, loops.tile_rows);
  const std::uint64_t lanes_b = lanes_of(n, loops.tile_cols);
  std::uint32_t* next =
      scratch_words(context, (lanes_a + lanes_b) * (words + groups) + lanes_b * groups);
  if (next == nullptr) return false;
  packed.b = next;  // B's parts first: its tiles are whole cache lines
  packed.start = reinterpret_cast<std::int32_t*>(next += lanes_b * words);
  packed.scales_b = reinterpret_cast<float*>(next += lanes_b * groups);
  packed.a = next += lanes_b * groups;
  packed.scales_a = reinterpret_cast<float*>(next + lanes_a * words);
  return true;
}

// So few columns that A is not packed.
bool narrow_i8(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  constexpr std::uint64_t lanes = 8, step = 64, rows_at_a_time = 48;
  const Loops& loops = *context.engine.loops;
  const std::uint64_t length = ceil_div(job.k, step) * step, groups = ceil_div(job.n, lanes);
  std::uint32_t* const room = scratch_words(context, groups * lanes * (length / 4 + 1));
  if (room == nullptr) return false;
  auto* const b = reinterpret_cast<std::int8_t*>(room);
  auto* const start = reinterpret_cast<std::int32_t*>(room + groups * lanes * length / 4);
  const bool shared = job.m * job.n * job.k >= 8 * worth_sharing;
  context.pool.each(groups, shared, [&](std::uint64_t i) {
    const std::uint64_t col = i * lanes;
    loops.pack_narrow(b + col * length, start + col, side_of(job.b, job.form == Form::abt, col, 0),
                      std::min(lanes, job.n - col), job.k);
  });
  const std::uint32_t flip = job.form == Form::limbs ? limbs_flip : 0;
  in_pieces(context, job.m, rows_at_a_time, shared, [&](std::uint64_t row, std::uint64_t rows) {
    loops.rows_i8(job.a.data + row * job.a.stride, job.a.stride, flip, b, start, job.k,
                  job.c.data + row * job.c.stride, job.c.stride, rows, job.n);
  });
  return true;
}

}  // namespace

bool cpu_i8(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  const Loops& loops = *context.engine.loops;
  if (is_diagonal(job.form)) return diagonal(context, job);
  if (loops.rows_i8 != nullptr && job.form != Form::atb && job.n <= most_narrow &&
      job.k >= least_narrow_k) {
    return narrow_i8(context, job);
  }
  const std::uint64_t panel_k = panel_words * loops.unit;
  PackedI8 packed = {};
  if (!allocate(context, job.m, job.n, std::min(panel_words, ceil_div(job.k, loops.unit)), 1,
                packed)) {
    return false;
  }
  const auto pack_a = [&](std::uint32_t* to, std::uint64_t row, std::uint64_t lanes,
                          std::uint64_t k0, std::uint64_t k) {
    Side side = side_of(job.a, job.form != Form::atb, row, k0);
    std::int8_t limbs[most_tile_rows * panel_words * 4];
    if (job.form == Form::limbs) {
      for (std::uint64_t i = 0; i < lanes; ++i) {
        const std::int8_t* const bytes = job.a.data + (row + i) * job.a.stride + k0;
        for (std::uint64_t p = 0; p < k; ++p) limbs[i * k + p] = limb(bytes[p], p);
      }
      side = {limbs, k, true};
    }
    loops.pack_i8_a(to, side, lanes, k);
  };
  over_panels(
      context, job, panel_k, false,
      [&](const Panel& p, bool of_a, std::uint64_t tile, std::uint64_t lanes) {
        const std::uint64_t words = ceil_div(p.k, loops.unit);
        if (of_a) {
          const std::uint64_t row = tile * loops.tile_rows;
          return pack_a(packed.a + row * words, p.row0 + row, lanes, p.k0, p.k);
        }
        const std::uint64_t col = tile * loops.tile_cols;
        loops.pack_i8_b(packed.b + col * words, packed.start + col,
                        side_of(job.b, job.form == Form::abt, p.col0 + col, p.k0), lanes, p.k,
                        words);
      },
      [&](const Panel& p, std::uint64_t tile_a, std::uint64_t tile_b, std::uint64_t rows,
          std::uint64_t cols) {
        const std::uint64_t words = ceil_div(p.k, loops.unit);
        const std::uint64_t row = tile_a * loops.tile_rows, col = tile_b * loops.tile_cols;
        loops.block_i8(packed.a + row * words, packed.b + col * words, packed.start + col, words,
                       job.c.data + (p.row0 + row) * job.c.stride + p.col0 + col, job.c.stride,
                       rows, cols);
      });
  return true;
}

namespace {

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

}  // namespace

bool cpu_i8x(Context& context, const QuantisedProduct& job) {
  if (is_diagonal(job.form)) return diagonal(context, job);
  const Loops& loops = *context.engine.loops;
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  const std::uint64_t panel_k = panel_words * loops.unit;  // whole groups
  const std::uint64_t most_k = std::min(panel_k, job.k);
  PackedI8 packed = {};
  if (!allocate(context, job.m, job.n, ceil_div(most_k, loops.unit), ceil_div(most_k, group),
                packed)) {
    return false;
  }
  over_panels(
      context, job, panel_k, false,
      [&](const Panel& p, bool of_a, std::uint64_t tile, std::uint64_t lanes) {
        const std::uint64_t words = ceil_div(p.k, loops.unit), groups = ceil_div(p.k, group);
        if (of_a) {
          const std::uint64_t width = loops.tile_rows, row = tile * width;
          const bool along = job.form != Form::atb;
          loops.pack_i8_a(packed.a + row * words, side_of(job.a, along, p.row0 + row, p.k0), lanes,
                          p.k);
          pack_scales(packed.scales_a + row * groups, job.scales_a, along, p.row0 + row, lanes,
                      width, p.k0 / group, groups);
        } else {
          const std::uint64_t width = loops.tile_cols, col = tile * width;
          const bool along = job.form == Form::abt;
          loops.pack_i8_b(packed.b + col * words, packed.start + col * groups,
                          side_of(job.b, along, p.col0 + col, p.k0), lanes, p.k,
                          group / loops.unit);
          pack_scales(packed.scales_b + col * groups, job.scales_b, along, p.col0 + col, lanes,
                      width, p.k0 / group, groups);
        }
      },
      [&](const Panel& p, std::uint64_t tile_a, std::uint64_t tile_b, std::uint64_t rows,
          std::uint64_t cols) {
        const std::uint64_t words = ceil_div(p.k, loops.unit), groups = ceil_div(p.k, group);
        const std::uint64_t row = tile_a * loops.tile_rows, col = tile_b * loops.tile_cols;
        loops.block_i8x(packed.a + row * words, packed.b + col * words, packed.start + col * groups,
                        packed.scales_a + row * groups, packed.scales_b + col * groups, words,
                        job.c.data + (p.row0 + row) * job.c.stride + p.col0 + col, job.c.stride,
                        rows, cols);
      });
  return true;
}

}  // namespace volt::kernels
