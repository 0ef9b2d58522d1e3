// SPDX-License-Identifier: Apache-2.0

// i8x2 on a GPU: the walk of matmul_i8_cuda.cuh with two slabs for each operand. One shape of tile,
// which fits every GPU: adapters have few columns or a short k, and read more than they multiply.

#include "matmul_cuda.hpp"
#include "matmul_i8_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

using namespace i8_tiles;

using Tiles = Shape<4, 1, 16, 32, 2, 2>;  // 64 x 32

struct LimbStage {
  Slab<Tiles::m> a[2];  // high, low
  Slab<Tiles::n> b[2];
  float scales_a[Tiles::m], scales_b[Tiles::n];
};

struct LimbJob {
  PackedOperand a[2], b[2];
  Scales scales_a, scales_b;
  float* c;
  std::uint64_t stride_c, k;
};

struct MatmulI8x2 {
  static constexpr unsigned threads = Tiles::threads, resident = Tiles::resident;
  static constexpr int cols = Tiles::cols / 8, steps = depth / 32;

  struct Shared {
    LimbStage stage[Tiles::stages];
  };

  struct Feed {
    VOLT_DEVICE Feed(const LimbJob& job, Tiling::Position tile)
        : a{{job.a[0], tile.m * Tiles::m}, {job.a[1], tile.m * Tiles::m}},
          b{{job.b[0], tile.n * Tiles::n}, {job.b[1], tile.n * Tiles::n}},
          scales_a(job.scales_a, tile.m * Tiles::m),
          scales_b(job.scales_b, tile.n * Tiles::n),
          left(job.k) {}
    VOLT_DEVICE void copy(LimbStage& stage) {
      if (left != 0) {
        VOLT_UNROLL
        for (int limb = 0; limb < 2; ++limb) {
          a[limb].copy(stage.a[limb], left);
          b[limb].copy(stage.b[limb], left);
        }
        scales_a.copy(stage.scales_a);
        scales_b.copy(stage.scales_b);
        left = left < depth ? 0 : left - depth;
      }
      commit_copies();
    }
    Side<Tiles::m, Tiles::threads> a[2];
    Side<Tiles::n, Tiles::threads> b[2];
    ScaleSide<Tiles::m, Tiles::threads> scales_a;
    ScaleSide<Tiles::n, Tiles::threads> scales_b;
    std::uint64_t left;  // k not yet copied
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const Tiling::Position tile = tiling.at(block_index());
    float acc[cols][4];
    over_c(tile, acc, [](float& there, float& own) { own = there; });
    Feed feed(job, tile);
    feed.copy(shared.stage[0]);
    int stage = 0;
    for (std::uint64_t done = 0; done < job.k; done += depth, stage ^= 1) {
      wait_for_copies<0>();
      sync_block();  // all see this stage, and have read the other
      feed.copy(shared.stage[stage ^ 1]);
      walk(shared.stage[stage], acc);
    }
    wait_for_copies<0>();
    over_c(tile, acc, [](float& there, float& own) { there = canonical(own); });
  }

  /// One group: acc += A * B, eight columns at a time, while A stays in registers.
  VOLT_DEVICE static void walk(const LimbStage& stage, float (&acc)[cols][4]) {
    const int lane = static_cast<int>(thread_index() % 32);
    const int row = static_cast<int>(thread_index() / 32) * Tiles::rows;
    std::uint32_t a[2][steps][4];
    VOLT_UNROLL
    for (int limb = 0; limb < 2; ++limb) {
      const SharedAddress at(row_of(stage.a[limb], row + lane % 16, lane / 16));
      VOLT_UNROLL
      for (int step = 0; step < steps; ++step) load_matrices(a[limb][step], at.flip(32 * step));
    }
    const float scales_a[2] = {stage.scales_a[row + lane / 4], stage.scales_a[row + lane / 4 + 8]};
    VOLT_UNROLL
    for (int j = 0; j < cols; ++j) {
      std::uint32_t b[2][steps][2];
      VOLT_UNROLL
      for (int limb = 0; limb < 2; ++limb) {
        const SharedAddress at(row_of(stage.b[limb], 8 * j + lane % 8, lane / 8));
        VOLT_UNROLL
        for (int step = 0; step < steps; step += 2) {
          std::uint32_t both[4];
          load_matrices(both, at.flip(32 * step));
          b[limb][step][0] = both[0], b[limb][step][1] = both[1];
          b[limb][step + 1][0] = both[2], b[limb][step + 1][1] = both[3];
        }
      }
      LimbSums sums;
      VOLT_UNROLL
      for (int step = 0; step < steps; ++step) {
        sums.add(a[0][step], a[1][step], b[0][step], b[1][step]);
      }
      const float* const scales_b = &stage.scales_b[8 * j + lane % 4 * 2];
      VOLT_UNROLL
      for (int e = 0; e < 4; ++e) {
        acc[j][e] = fused(sums.joined(e), scales_a[e / 2] * scales_b[e % 2], acc[j][e]);
      }
      sync_warp();  // the compiler shall not fetch more strips ahead than there are registers for
    }
  }

  template <int lanes>
  VOLT_DEVICE static const std::int8_t* row_of(const Slab<lanes>& slab, int row, int chunk) {
    return &slab.at[row][slab.place(row, chunk) * chunk_bytes];
  }

  /// with(there, own) for each element of C that there is.
  template <class With>
  VOLT_DEVICE void over_c(const Tiling::Position& tile, float (&acc)[cols][4], With with) const {
    const int lane = static_cast<int>(thread_index() % 32);
    const std::uint64_t row =
        tile.m * Tiles::m + thread_index() / 32 * Tiles::rows + static_cast<unsigned>(lane / 4);
    const std::uint64_t col = tile.n * Tiles::n + static_cast<unsigned>(lane % 4 * 2);
    VOLT_UNROLL
    for (int j = 0; j < cols; ++j) {
      VOLT_UNROLL
      for (int e = 0; e < 4; ++e) {
        const std::uint64_t i = row + e / 2 * 8, at = col + 8 * j + e % 2;
        if (i < job.a[0].lanes && at < job.b[0].lanes) {
          with(job.c[i * job.stride_c + at], acc[j][e]);
        } else {
          acc[j][e] = 0.0f;
        }
      }
    }
  }

  LimbJob job;
  Tiling tiling;
};

Scales scales_of(const View<const float>& view, bool k_is_rows) {
  if (k_is_rows) return {view.data, view.cols, 1, view.stride};
  return {view.data, view.rows, view.stride, 1};
}

struct AllPanels {
  explicit AllPanels(const LimbsProduct& p)
      : of{{p.a, k_is_rows_of_a(p.form)},
           {p.low_a, k_is_rows_of_a(p.form)},
           {p.b, k_is_rows_of_b(p.form)},
           {p.low_b, k_is_rows_of_b(p.form)}} {}
  Panels of[4];
};

}  // namespace

std::uint64_t scratch_bytes(const LimbsProduct& job) {
  if (job.k > max_packed_k) return 0;
  const AllPanels panels(job);
  std::uint64_t bytes = 0;
  for (const Panels& one : panels.of) bytes += one.wanted_rows() * one.row_bytes();
  return bytes;
}

Status cuda_matmul_i8x2(CudaStream stream, const LimbsProduct& job, Scratch scratch) {
  if (job.k > max_packed_k) return cuda_matmul_elements(stream, job);
  AllPanels panels(job);
  LimbJob limbs = {{},
                   {},
                   scales_of(job.scales_a, k_is_rows_of_a(job.form)),
                   scales_of(job.scales_b, k_is_rows_of_b(job.form)),
                   job.c.data,
                   job.c.stride,
                   job.k};
  PackedOperand* const packed[] = {&limbs.a[0], &limbs.a[1], &limbs.b[0], &limbs.b[1]};
  std::byte* next = scratch.data;
  for (int i = 0; i < 4; ++i) {
    Panels& one = panels.of[i];
    next += one.take(next, one.wanted_rows()) * one.row_bytes();
    const Status status = one.pack(stream, 0);
    if (status.code != Status::ok) return status;
    *packed[i] = one.panel(0);
  }
  const Tiling tiling(job.m, job.n, Tiles::m, Tiles::n);
  return launch(stream, tiling.count(), MatmulI8x2{limbs, tiling});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
