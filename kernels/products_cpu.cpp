// SPDX-License-Identifier: Apache-2.0

// Products on a CPU: how each kind packs its tiles and multiplies them, and the shapes that are not
// cut into panels.

#include <algorithm>

#include "exact.hpp"
#include "panels_cpu.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t most_direct = 512;     // columns for which A is not packed
constexpr std::uint64_t least_narrow_k = 256;  // int8 as stored: or their sums take longer

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

// ---- kinds

template <class Job>
auto* c_at(const Job& job, const Panel& p, const Lanes& rows, const Lanes& cols) {
  return job.c.data + (p.row0 + rows.first) * job.c.stride + p.col0 + cols.first;
}

struct KindF32x {
  const Loops& loops;
  const Product<float, float>& job;

  bool direct() const { return !k_is_rows_of_a(job.form) && job.n <= most_direct; }
  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words; }
  LaneSize size_a(std::uint64_t k) const { return {direct() ? 0 : k, 0, 0}; }
  LaneSize size_b(std::uint64_t k) const { return {k, 0, 0}; }
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

// Whether A is read as it is stored: where there is little to multiply it with, or where one core
// would pack for another, to which fetching it takes nearly as long as multiplying it.
template <class Job>
bool direct_i8(const Context& context, const Job& job) {
  const Loops& loops = *context.engine.loops;
  return loops.rows_i8 != nullptr && !k_is_rows_of_a(job.form) && job.k % loops.unit == 0 &&
         (job.n <= 64 ||
          (context.pool.threads() > 1 && job.m <= few_lanes && job.n <= most_direct));
}

struct KindI8 {
  const Loops& loops;
  const Product<std::int8_t, std::int32_t>& job;
  bool direct;  // A is read as it is stored

  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words * loops.unit; }
  std::uint64_t words(std::uint64_t k) const { return ceil_div(k, loops.unit); }
  LaneSize size_a(std::uint64_t k) const {
    return direct ? LaneSize{0, 1, 0} : LaneSize{words(k), 0, 0};
  }
  LaneSize size_b(std::uint64_t k) const { return {words(k), direct ? 0u : 1u, 0}; }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const Side side = side_a(job, p.row0 + lanes.first, p.k0);
    if (direct) return loops.sum_rows(to.start, side, lanes.count, p.k, p.k);
    loops.pack_i8_a(to.words, side, lanes.count, p.k);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const Side side = side_b(job, p.col0 + lanes.first, p.k0);
    if (direct) return loops.pack_i8_b_unsigned(to.words, side, lanes.count, p.k);
    loops.pack_i8_b(to.words, to.start, side, lanes.count, p.k, words(p.k));
  }
  void multiply(const Panel& p, const Lanes& rows, const Lanes& cols, const Packed& a,
                const Packed& b) const {
    std::int32_t* const c = c_at(job, p, rows, cols);
    if (direct) {
      loops.rows_i8(side_a(job, p.row0 + rows.first, p.k0), b.words, a.start, words(p.k), c,
                    job.c.stride, rows.count, cols.count);
    } else {
      loops.block_i8(a.words, b.words, b.start, words(p.k), c, job.c.stride, rows.count,
                     cols.count);
    }
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
  bool direct;  // A is read as it is stored

  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words * loops.unit; }  // whole groups
  std::uint64_t words(std::uint64_t k) const { return ceil_div(k, loops.unit); }
  LaneSize size_a(std::uint64_t k) const {
    const std::uint64_t groups = ceil_div(k, group);
    return direct ? LaneSize{0, groups, groups} : LaneSize{words(k), 0, groups};
  }
  LaneSize size_b(std::uint64_t k) const {
    const std::uint64_t groups = ceil_div(k, group);
    return {words(k), direct ? 0 : groups, groups};
  }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const Side side = side_a(job, p.row0 + lanes.first, p.k0);
    pack_scales(to.scales, job.scales_a, !k_is_rows_of_a(job.form), p.row0 + lanes.first,
                lanes.count, loops.tile_rows, p.k0 / group, size_a(p.k).scales);
    if (direct) return loops.sum_rows(to.start, side, lanes.count, p.k, group);
    loops.pack_i8_a(to.words, side, lanes.count, p.k);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const Side side = side_b(job, p.col0 + lanes.first, p.k0);
    pack_scales(to.scales, job.scales_b, !k_is_rows_of_b(job.form), p.col0 + lanes.first,
                lanes.count, loops.tile_cols, p.k0 / group, size_b(p.k).scales);
    if (direct) return loops.pack_i8_b_unsigned(to.words, side, lanes.count, p.k);
    loops.pack_i8_b(to.words, to.start, side, lanes.count, p.k, group / loops.unit);
  }
  void multiply(const Panel& p, const Lanes& rows, const Lanes& cols, const Packed& a,
                const Packed& b) const {
    float* const c = c_at(job, p, rows, cols);
    if (direct) {
      loops.rows_i8x(side_a(job, p.row0 + rows.first, p.k0), b.words, a.start, a.scales, b.scales,
                     words(p.k), c, job.c.stride, rows.count, cols.count);
    } else {
      loops.block_i8x(a.words, b.words, b.start, a.scales, b.scales, words(p.k), c, job.c.stride,
                      rows.count, cols.count);
    }
  }
};

struct KindI8x2 {
  const Loops& loops;
  const LimbsProduct& job;

  std::uint64_t most_at_a_time() const { return std::min<std::uint64_t>(8, panel_k() / group); }
  std::uint64_t panel_k() const { return panel_words / 2 * loops.unit; }  // whole groups
  LaneSize size_a(std::uint64_t k) const {
    const std::uint64_t groups = ceil_div(k, group);
    return {2 * groups * group / loops.unit, 0, groups};
  }
  LaneSize size_b(std::uint64_t k) const {
    const std::uint64_t groups = ceil_div(k, group);
    return {2 * groups * group / loops.unit, 2 * groups, groups};
  }
  void pack_a(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const bool k_contiguous = !k_is_rows_of_a(job.form);
    const std::uint64_t lane = p.row0 + lanes.first;
    loops.pack_limbs_a(to.words, side_of(job.a, k_contiguous, lane, p.k0),
                       side_of(job.low_a, k_contiguous, lane, p.k0), lanes.count, p.k);
    pack_scales(to.scales, job.scales_a, k_contiguous, lane, lanes.count, loops.tile_rows,
                p.k0 / group, size_a(p.k).scales);
  }
  void pack_b(const Panel& p, const Lanes& lanes, const Packed& to) const {
    const bool k_contiguous = !k_is_rows_of_b(job.form);
    const std::uint64_t lane = p.col0 + lanes.first;
    loops.pack_limbs_b(to.words, to.start, side_of(job.b, k_contiguous, lane, p.k0),
                       side_of(job.low_b, k_contiguous, lane, p.k0), lanes.count, p.k);
    pack_scales(to.scales, job.scales_b, k_contiguous, lane, lanes.count, loops.tile_cols,
                p.k0 / group, size_b(p.k).scales);
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

  std::uint64_t most_at_a_time() const { return 8; }
  std::uint64_t panel_k() const { return panel_words; }
  LaneSize size_a(std::uint64_t k) const { return {k, 0, 0}; }
  LaneSize size_b(std::uint64_t k) const { return {k, 0, 0}; }
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
  constexpr std::uint64_t lanes = 16, step = 64, rows_at_a_time = 48;
  const Loops& loops = *context.engine.loops;
  const std::uint64_t words = ceil_div(job.k, step) * step / 4, groups = ceil_div(job.n, lanes);
  const std::uint64_t bytes = 4 * groups * lanes * words;
  if (context.scratch.bytes() < bytes && !context.scratch.take(bytes)) return false;
  auto* const b = reinterpret_cast<std::uint32_t*>(context.scratch.data());
  const bool shared = job.m * job.n * job.k >= 8 * worth_sharing;
  context.pool.each(groups, shared, [&](std::uint64_t i) {
    const std::uint64_t col = i * lanes;
    loops.pack_narrow(b + col * words, side_b(job, col, 0), std::min(lanes, job.n - col), job.k);
  });
  in_pieces(context, job.m, rows_at_a_time, shared, [&](std::uint64_t row, std::uint64_t rows) {
    loops.narrow_i8(side_a(job, row, 0), b, job.k, job.c.data + row * job.c.stride, job.c.stride,
                    rows, job.n);
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
  if (job.n <= most_narrow && context.engine.loops->narrow_i8 != nullptr &&
      !k_is_rows_of_a(job.form) && job.k >= least_narrow_k) {
    return narrow_i8(context, job);
  }
  return Panels(context, KindI8{*context.engine.loops, job, direct_i8(context, job)}).run();
}

bool cpu_i8x(Context& context, const QuantisedProduct& job) {
  if (is_diagonal(job.form)) return diagonal(context, job);
  if (job.k == 0) {
    canonical_c(job);
    return true;
  }
  return Panels(context, KindI8x{*context.engine.loops, job, direct_i8(context, job)}).run();
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
