// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"
#include "pack_i8_cuda.hpp"
#include "tiles_cuda.cuh"

/// i8 and i8x by mma.sync. A block takes a tile of C and walks along k in slabs of one group of
/// 128, which asynchronous copies bring into shared memory some slabs ahead.
namespace volt::kernels {
inline namespace VOLT_ISA {
namespace i8_tiles {

constexpr int depth = 128;       // of a slab, along k: one group
constexpr int chunk_bytes = 16;  // of a copy, and of a row of what load_matrices loads
constexpr int chunks = depth / chunk_bytes;

// Sums of i8x start from this, the bits of 1.5 * 2^23: plus a sum of at most 2^22, these are the
// bits of that number plus the sum, and subtracting it is exact. Conversions are slower.
constexpr std::int32_t bias_bits = 0x4b400000;
constexpr float bias = 12582912.0f;

/// acc = fmaf(float(sum), scale, acc), where `biased` is the sum and bias_bits.
VOLT_DEVICE void join(float& acc, std::int32_t biased, float scale) {
  acc = fused(bits_float(static_cast<std::uint32_t>(biased)) - bias, scale, acc);
}

/// The sums of limbs of a group, a product of 16 x 8 x 32 after the other.
struct LimbSums {
  VOLT_DEVICE LimbSums() {
    VOLT_UNROLL
    for (int e = 0; e < 4; ++e) hh[e] = hl[e] = ll[e] = bias_bits;
  }
  VOLT_DEVICE void add(const std::uint32_t (&high_a)[4], const std::uint32_t (&low_a)[4],
                       const std::uint32_t (&high_b)[2], const std::uint32_t (&low_b)[2]) {
    multiply_16x8x32(ll, low_a, low_b, ll);
    multiply_16x8x32(hl, high_a, low_b, hl);
    multiply_16x8x32(hl, low_a, high_b, hl);
    multiply_16x8x32(hh, high_a, high_b, hh);
  }
  /// What they come to, as limbs_sum() has it.
  VOLT_DEVICE float joined(int e) const {
    return limbs_joined(unbiased(hh[e]), unbiased(hl[e]), unbiased(ll[e]));
  }
  VOLT_DEVICE static float unbiased(std::int32_t sum) {
    return bits_float(static_cast<std::uint32_t>(sum)) - bias;
  }
  std::int32_t hh[4], hl[4], ll[4];
};

/// Warps with `rows` x `cols` elements of C each.
template <int warps_m_, int warps_n_, int rows_, int cols_, int stages_, unsigned resident_>
struct Shape {
  static constexpr int warps_m = warps_m_, warps_n = warps_n_, rows = rows_, cols = cols_;
  static constexpr int stages = stages_;
  static constexpr int m = warps_m * rows, n = warps_n * cols;  // of a block
  static constexpr int threads = 32 * warps_m * warps_n;
  static constexpr unsigned resident = resident_;
};

/// Scale of lane l and group g: data[l * lane_step + g * group_step].
struct Scales {
  Scales from(std::uint64_t lane) const {
    return {data + lane * lane_step, lanes - lane, lane_step, group_step};
  }
  const float* data = nullptr;
  std::uint64_t lanes = 0, lane_step = 0, group_step = 0;
};

/// Bytes by lane and k. Chunks of a lane are exchanged so that eight lanes' chunks of the same k
/// are on different banks.
template <int lanes>
struct Slab {
  VOLT_DEVICE static int place(int lane, int chunk) { return chunk ^ (lane % chunks); }
  alignas(depth) std::int8_t at[lanes][depth];
};

/// This thread's share of one operand's copies. Beyond the last lane, that is copied again.
template <int width, int threads>
struct Side {
  static constexpr int across = threads / chunks, copies = width / across;
  static_assert(across % chunks == 0 && width % across == 0);

  VOLT_DEVICE Side(const PackedOperand& operand, std::uint64_t first)
      : lane(static_cast<int>(thread_index() / chunks)),
        chunk(static_cast<int>(thread_index() % chunks)),
        last(anew(left_of(operand.lanes, first, width) - 1)),
        stride(static_cast<std::uint32_t>(operand.stride)),
        from(operand.data + first * operand.stride) {}

  VOLT_DEVICE const std::int8_t* source(int j) const {
    const int mine = lane + j * across, there = mine < last ? mine : last;
    // 32 bits: see max_packed_k
    return from + (static_cast<std::uint32_t>(there) * stride + chunk * chunk_bytes);
  }

  /// The slab at `from`, of which there are only `left` k; the rest becomes 0.
  VOLT_DEVICE void copy(Slab<width>& slab, std::uint64_t left) {
    const SharedAddress to(&slab.at[lane][Slab<width>::place(lane, chunk) * chunk_bytes]);
    if (left >= depth) {
      VOLT_UNROLL
      for (int j = 0; j < copies; ++j) copy_async_16(to.after(j * across * depth), source(j));
    } else {
      const int mine = static_cast<int>(left) - chunk * chunk_bytes;
      const std::uint32_t bytes = mine < 0 ? 0 : mine < chunk_bytes ? mine : chunk_bytes;
      VOLT_UNROLL
      for (int j = 0; j < copies; ++j) {
        copy_async_16(to.after(j * across * depth), source(j), bytes);
      }
    }
    from += depth;
  }

  int lane, chunk, last;
  std::uint32_t stride;
  const std::int8_t* from;
};

/// The same for the scales of one group.
template <int width, int threads>
struct ScaleSide {
  static_assert(width <= threads);

  VOLT_DEVICE ScaleSide(const Scales& scales, std::uint64_t first) : group_step(scales.group_step) {
    const std::uint64_t lane = first + thread_index();
    from = scales.data + (lane < scales.lanes ? lane : scales.lanes - 1) * scales.lane_step;
  }

  VOLT_DEVICE void copy(float (&to)[width]) {
    if (thread_index() < width) copy_async_4(SharedAddress(&to[thread_index()]), from);
    from += group_step;
  }

  std::uint64_t group_step;
  const float* from;
};

template <class Shape, bool joined>
struct Stage {
  Slab<Shape::m> a;
  Slab<Shape::n> b;
};
template <class Shape>
struct Stage<Shape, true> : Stage<Shape, false> {
  float scales_a[Shape::m], scales_b[Shape::n];
};

/// What all of a product's blocks know; T is int32, or fp32 where groups are joined.
template <class T>
struct Job {
  PackedOperand a, b;
  Scales scales_a, scales_b;
  T* c;
  std::uint64_t stride_c, k;
  bool pairs_of_c;  ///< pairs of C's columns are at multiples of 8 bytes
};

template <class Shape, class T>
struct MatmulI8 {
  static constexpr bool joined = std::is_same_v<T, float>;
  static constexpr unsigned threads = Shape::threads, resident = Shape::resident;
  static constexpr int stages = Shape::stages;
  static constexpr int rows = Shape::rows / 16, cols = Shape::cols / 8;  // in products of a warp
  static constexpr int steps = depth / 32;

  struct Shared {
    Stage<Shape, joined> stage[stages];
  };

  struct Feed {
    VOLT_DEVICE Feed(const Job<T>& job, Tiling::Position tile)
        : a(job.a, tile.m * Shape::m),
          b(job.b, tile.n * Shape::n),
          scales_a(job.scales_a, tile.m * Shape::m),
          scales_b(job.scales_b, tile.n * Shape::n),
          left(job.k) {}
    VOLT_DEVICE void copy(Stage<Shape, joined>& stage) {
      if (left != 0) {
        a.copy(stage.a, left);
        b.copy(stage.b, left);
        if constexpr (joined) {
          scales_a.copy(stage.scales_a);
          scales_b.copy(stage.scales_b);
        }
        left = left < depth ? 0 : left - depth;
      }
      commit_copies();
    }
    Side<Shape::m, Shape::threads> a;
    Side<Shape::n, Shape::threads> b;
    ScaleSide<Shape::m, Shape::threads> scales_a;
    ScaleSide<Shape::n, Shape::threads> scales_b;
    std::uint64_t left;  // k not yet copied
  };

  /// This warp's part of the tile, and this lane's in fragments (multiply_16x8x32).
  struct Place {
    VOLT_DEVICE explicit Place(std::uint32_t thread)
        : lane(static_cast<int>(thread) % 32),
          row(static_cast<int>(thread) / 32 / Shape::warps_n * Shape::rows),
          col(static_cast<int>(thread) / 32 % Shape::warps_n * Shape::cols) {}
    VOLT_DEVICE int row_of(int i, int half) const { return row + 16 * i + 8 * half + lane / 4; }
    VOLT_DEVICE int col_of(int j) const { return col + 8 * j + lane % 4 * 2; }
    int lane, row, col;
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const Tiling::Position tile = tiling.at(block_index());
    T acc[rows][cols][4];
    over_c<false>(acc);
    Feed feed(job, tile);
    VOLT_UNROLL
    for (int s = 0; s < stages - 1; ++s) feed.copy(shared.stage[s]);
    int stage = 0, last = stages - 1;
    for (std::uint64_t done = 0; done < job.k; done += depth) {
      wait_for_copies<stages - 2>();
      sync_block();  // all see this stage, and have read the last
      feed.copy(shared.stage[last]);
      walk(shared.stage[stage], Place(thread_index()), acc);
      last = stage;
      stage = stage + 1 < stages ? stage + 1 : 0;
    }
    wait_for_copies<0>();
    over_c<true>(acc);
  }

  /// One slab: acc += A * B.
  VOLT_DEVICE static void walk(const Stage<Shape, false>& stage, const Place& place,
                               std::int32_t (&acc)[rows][cols][4]) {
    VOLT_UNROLL
    for (int step = 0; step < steps; ++step) {
      std::uint32_t a[rows][4], b[cols][2];
      load_a(a, stage, place, step);
      VOLT_UNROLL
      for (int j = 0; j < cols; j += 2) load_b(b[j], b[j + 1], stage, place, j, step);
      VOLT_UNROLL
      for (int i = 0; i < rows; ++i) {
        VOLT_UNROLL
        for (int j = 0; j < cols; ++j) multiply_16x8x32(acc[i][j], a[i], b[j], acc[i][j]);
      }
    }
  }

  /// The same with sums of their own for each group, eight columns at a time, while A stays in
  /// registers: then shared memory is read only once. While one warp joins sums, the tensor cores
  /// work for others.
  VOLT_DEVICE static void walk(const Stage<Shape, true>& stage, const Place& place,
                               float (&acc)[rows][cols][4]) {
    std::uint32_t a[steps][rows][4];
    VOLT_UNROLL
    for (int step = 0; step < steps; ++step) load_a(a[step], stage, place, step);
    float scales_a[rows][2];
    VOLT_UNROLL
    for (int i = 0; i < rows; ++i) {
      scales_a[i][0] = stage.scales_a[place.row_of(i, 0)];
      scales_a[i][1] = stage.scales_a[place.row_of(i, 1)];
    }
    VOLT_UNROLL
    for (int j = 0; j < cols; ++j) {
      std::uint32_t b[steps][2];
      load_strip(b, stage, place, j);
      std::int32_t sum[rows][4];
      VOLT_UNROLL
      for (int i = 0; i < rows; ++i) sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = bias_bits;
      VOLT_UNROLL
      for (int step = 0; step < steps; ++step) {
        VOLT_UNROLL
        for (int i = 0; i < rows; ++i) multiply_16x8x32(sum[i], a[step][i], b[step], sum[i]);
      }
      const float* scales_b = &stage.scales_b[place.col_of(j)];
      VOLT_UNROLL
      for (int i = 0; i < rows; ++i) {
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) {
          join(acc[i][j][e], sum[i][e], scales_a[i][e / 2] * scales_b[e % 2]);
        }
      }
      sync_warp();  // the compiler shall not fetch more strips ahead than there are registers for
    }
  }

  VOLT_DEVICE static void load_strip(std::uint32_t (&b)[steps][2], const Stage<Shape, true>& stage,
                                     const Place& place, int j) {
    VOLT_UNROLL
    for (int step = 0; step < steps; step += 2) load_b(b[step], b[step + 1], stage, place, j, step);
  }

  /// Of 16 rows, lanes 0 to 15 name the first 16 k and the others the second.
  template <class Any>
  VOLT_DEVICE static void load_a(std::uint32_t (&to)[rows][4], const Any& stage, const Place& place,
                                 int step) {
    const int row = place.row + place.lane % 16, chunk = place.lane / 16;
    const SharedAddress at(&stage.a.at[row][stage.a.place(row, chunk) * chunk_bytes]);
    VOLT_UNROLL
    for (int i = 0; i < rows; ++i) load_matrices(to[i], at.flip(32 * step).after(16 * i * depth));
  }

  /// Two products' fragments: of 16 columns and 32 k, or where groups are joined of 8 and 64.
  template <class Any>
  VOLT_DEVICE static void load_b(std::uint32_t (&first)[2], std::uint32_t (&second)[2],
                                 const Any& stage, const Place& place, int j, int step) {
    const int eighth = place.lane / 8;
    const int col = place.col + place.lane % 8 + (joined ? 0 : eighth / 2 * 8);
    const int chunk = joined ? eighth : eighth % 2;
    const SharedAddress at(&stage.b.at[col][stage.b.place(col, chunk) * chunk_bytes]);
    std::uint32_t both[4];
    load_matrices(both, at.flip(32 * step).after(8 * j * depth));
    first[0] = both[0], first[1] = both[1];
    second[0] = both[2], second[1] = both[3];
  }

  struct alignas(8) Pair {
    T at[2];
  };

  /// Takes the tile from C, or with `store` gives it back.
  template <bool store>
  VOLT_DEVICE void over_c(T (&acc)[rows][cols][4]) const {
    const Tiling::Position tile = tiling.at(block_index());
    const Place place(anew(thread_index()));
    const std::uint64_t row = tile.m * Shape::m + place.row_of(0, 0);
    const std::uint64_t col = tile.n * Shape::n + place.col_of(0);
    const int rows_left = left_of(job.a.lanes, row, Shape::m);
    const int cols_left = left_of(job.b.lanes, col, Shape::n);
    T* c = job.c + row * job.stride_c + col;
    VOLT_UNROLL
    for (int i = 0; i < 2 * rows; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < cols; ++j) {
        T* pair = &acc[i / 2][j][i % 2 * 2];
        if (!store) pair[0] = pair[1] = 0;
        if (8 * i < rows_left) pair_of_c<store>(c + 8 * j, cols_left - 8 * j, pair);
      }
      c += 8 * job.stride_c;
    }
  }

  /// `left` of the pair's columns are there, or more.
  template <bool store>
  VOLT_DEVICE void pair_of_c(T* at, int left, T* acc) const {
    if constexpr (store && joined) acc[0] = canonical(acc[0]), acc[1] = canonical(acc[1]);
    if (job.pairs_of_c) {
      if (left <= 0) return;
      Pair& pair = *reinterpret_cast<Pair*>(at);
      if (store) pair = {{acc[0], acc[1]}};
      if (!store) acc[0] = pair.at[0], acc[1] = pair.at[1];
    } else {
      VOLT_UNROLL
      for (int e = 0; e < 2; ++e) {
        if (e >= left) continue;
        if (store) at[e] = acc[e];
        if (!store) acc[e] = at[e];
      }
    }
  }

  Job<T> job;
  Tiling tiling;
};

}  // namespace i8_tiles
}  // namespace VOLT_ISA
}  // namespace volt::kernels
