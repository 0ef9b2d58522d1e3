// SPDX-License-Identifier: Apache-2.0

// The fast CPU backend: cuts operations into blocks for the threads and the caches, and chooses the
// inner loops by instruction set. How it cuts changes no bit: C carries each element's chain from
// one panel of k to the next.

#include <algorithm>
#include <vector>

#include "exact.hpp"
#include "host.hpp"
#include "loops.hpp"
#include "sha256_cpu.hpp"
#include "variants.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace volt::kernels {
namespace {

constexpr std::uint64_t panel_words = 256;        // along k: a tile of B fits the first-level cache
constexpr std::uint64_t panel_extent = 6144;      // rows and columns packed at a time, 3 MB each
constexpr std::uint64_t worth_sharing = 1 << 16;  // elements, or steps of 8 multiplications

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// Calls work(first, count) for pieces of `count` elements.
template <class Work>
void in_pieces(Context& context, std::uint64_t count, std::uint64_t piece, bool shared, Work work) {
  context.pool.each(ceil_div(count, piece), shared,
                    [&](std::uint64_t i) { work(i * piece, std::min(piece, count - i * piece)); });
}

void cpu_fill_f32(Context& context, float* to, const Stream& s) {
  in_pieces(context, s.count, 1 << 14, s.count >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->fill_f32(to + first, count, s.seed, s.stream, s.first + first);
            });
}

void cpu_fill_i8(Context& context, std::int8_t* to, const Stream& s) {
  in_pieces(context, s.count, 1 << 16, s.count >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->fill_i8(to + first, count, s.seed, s.stream, s.first + first);
            });
}

void cpu_quantise(Context& context, const QuantiseJob& job) {
  const Loops& loops = *context.engine.loops;
  const View<const float>& x = job.x;
  const bool shared = x.rows * x.cols >= worth_sharing;
  if (job.axis == Quantised::along_cols) {
    const std::uint64_t rows = std::max<std::uint64_t>(1, (1 << 14) / x.cols);
    in_pieces(context, x.rows, rows, shared, [&](std::uint64_t first, std::uint64_t count) {
      for (std::uint64_t r = first; r < first + count; ++r) {
        loops.quantise_row(x.data + r * x.stride, x.cols, job.q.data + r * job.q.stride,
                           job.scales.data + r * job.scales.stride);
      }
    });
    return;
  }
  context.pool.each(job.scales.rows, shared, [&](std::uint64_t g) {
    const std::uint64_t row = g * group;
    loops.quantise_columns(x.data + row * x.stride, x.stride, std::min(group, x.rows - row), x.cols,
                           job.q.data + row * job.q.stride, job.q.stride,
                           job.scales.data + g * job.scales.stride);
  });
}

void cpu_page_digests(Context& context, const std::uint8_t* data, std::uint64_t bytes,
                      std::uint8_t* digests) {
  const Sha256Compress compress = sha256_compress_best();
  in_pieces(context, ceil_div(bytes, page_bytes), 16, bytes >= 16 * page_bytes,
            [&](std::uint64_t first, std::uint64_t count) {
              const std::uint8_t leaf = 0x00;
              for (std::uint64_t page = first; page < first + count; ++page) {
                const std::uint64_t begin = page * page_bytes;
                sha256(compress, &leaf, 1, data + begin, std::min(page_bytes, bytes - begin),
                       digests + page * 32);
              }
            });
}

void cpu_map(Context& context, const MapJob& job) { reference_engine.map(context, job); }

template <class T>
void cpu_select(Context& context, const Selection<T>& s) {
  const bool shared = s.to.rows * s.to.cols >= worth_sharing;
  const std::uint64_t rows = std::max<std::uint64_t>(1, (1 << 14) / s.to.cols);
  in_pieces(context, s.to.rows, rows, shared, [&](std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t r = first; r < first + count; ++r) {
      T* const to = s.to.data + r * s.to.stride;
      if (s.lines == Lines::rows) {
        std::copy_n(s.from.data + s.index[r] * s.from.stride, s.to.cols, to);
      } else {
        const T* const from = s.from.data + r * s.from.stride;
        for (std::uint64_t c = 0; c < s.to.cols; ++c) to[c] = from[s.index[c]];
      }
    }
  });
}

// ---- products

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
  constexpr std::uint64_t most_a = 32, least_b = 4;
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
template <class Job, class Pack, class Multiply>
void over_panels(Context& context, const Job& job, std::uint64_t panel_k, Pack pack,
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
        context.pool.each(tiles_a + tiles_b, shared, [&](std::uint64_t tile) {
          if (tile < tiles_a) {
            pack(panel, true, tile,
                 std::min<std::uint64_t>(loops.tile_rows, panel.rows - tile * loops.tile_rows));
          } else {
            tile -= tiles_a;
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

bool cpu_f32x(Context& context, const Product<float, float>& job) {
  if (is_diagonal(job.form)) return reference_engine.matmul_f32x(context, job);
  const Loops& loops = *context.engine.loops;
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  const std::uint64_t panel_k = std::min(panel_words, job.k);
  const std::uint64_t size_a = lanes_of(job.m, loops.tile_rows) * panel_k;
  const std::uint64_t size_b = lanes_of(job.n, loops.tile_cols) * panel_k;
  auto* const b = reinterpret_cast<float*>(scratch_words(context, size_a + size_b));
  if (b == nullptr) return false;
  float* const a = b + size_b;  // after B, whose tiles are whole cache lines
  over_panels(
      context, job, panel_k,
      [&](const Panel& p, bool of_a, std::uint64_t tile, std::uint64_t lanes) {
        const std::uint64_t width = of_a ? loops.tile_rows : loops.tile_cols;
        const Side side = of_a ? side_of(job.a, job.form != Form::atb, p.row0 + tile * width, p.k0)
                               : side_of(job.b, job.form == Form::abt, p.col0 + tile * width, p.k0);
        loops.pack_f32((of_a ? a : b) + tile * width * p.k, side, lanes, width, p.k);
      },
      [&](const Panel& p, std::uint64_t tile_a, std::uint64_t tile_b, std::uint64_t rows,
          std::uint64_t cols) {
        const std::uint64_t row = tile_a * loops.tile_rows, col = tile_b * loops.tile_cols;
        loops.block_f32(a + row * p.k, b + col * p.k, p.k,
                        job.c.data + (p.row0 + row) * job.c.stride + p.col0 + col, job.c.stride,
                        rows, cols);
      });
  return true;
}

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

bool cpu_i8(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  if (is_diagonal(job.form)) return reference_engine.matmul_i8(context, job);
  const Loops& loops = *context.engine.loops;
  const std::uint64_t panel_k = panel_words * loops.unit;
  PackedI8 packed = {};
  if (!allocate(context, job.m, job.n, std::min(panel_words, ceil_div(job.k, loops.unit)), 1,
                packed)) {
    return false;
  }
  over_panels(
      context, job, panel_k,
      [&](const Panel& p, bool of_a, std::uint64_t tile, std::uint64_t lanes) {
        const std::uint64_t words = ceil_div(p.k, loops.unit);
        if (of_a) {
          const std::uint64_t row = tile * loops.tile_rows;
          loops.pack_i8_a(packed.a + row * words,
                          side_of(job.a, job.form != Form::atb, p.row0 + row, p.k0), lanes, p.k);
        } else {
          const std::uint64_t col = tile * loops.tile_cols;
          loops.pack_i8_b(packed.b + col * words, packed.start + col,
                          side_of(job.b, job.form == Form::abt, p.col0 + col, p.k0), lanes, p.k,
                          words);
        }
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

bool cpu_i8x(Context& context, const QuantisedProduct& job) {
  if (is_diagonal(job.form)) return reference_engine.matmul_i8x(context, job);
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
      context, job, panel_k,
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

// ---- instruction sets

bool has_v3() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  if ((c & bit_MOVBE) == 0 || (c & bit_F16C) == 0) return false;
  if (__get_cpuid(0x80000001, &a, &b, &c, &d) == 0 || (c & bit_LZCNT) == 0) return false;
  // these also ask whether the system saves the registers
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

bool has_v4() {
#if defined(__x86_64__)
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

bool has_vnni() {
#if defined(__x86_64__)
  return has_v4() && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

template <const Loops& loops>
constexpr Engine engine = {
    &loops,
    cpu_fill_f32,
    cpu_fill_i8,
    cpu_quantise,
    cpu_f32x,
    cpu_i8,
    cpu_i8x,
    cpu_page_digests,
    cpu_map,
    cpu_select<std::uint32_t>,
    cpu_select<std::uint8_t>,
    host_compare,
    &host_store,
};

template <const Loops& loops>
Status open_cpu(const Options& options, Context** context) {
  return open_context(engine<loops>, options, options.threads, context);
}

template <const Loops& loops>
void add(std::vector<Backend>& backends) {
  backends.push_back(make_backend(loops.name, open_cpu<loops>));
}

}  // namespace

std::span<const Backend> cpu_variants() {
  static const std::vector<Backend> variants = [] {
    std::vector<Backend> found;
    add<loops_baseline>(found);
#if defined(__x86_64__)
    if (has_v3()) add<loops_v3>(found);
    if (has_v4()) add<loops_v4>(found);
    if (has_vnni()) add<loops_vnni>(found);
#endif
    return found;
  }();
  return variants;
}

const Backend& cpu() {
  static const Backend best = make_backend("cpu", cpu_variants().back().open);
  return best;
}

}  // namespace volt::kernels
