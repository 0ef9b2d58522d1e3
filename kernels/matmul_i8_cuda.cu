// SPDX-License-Identifier: Apache-2.0

// i8 and i8x on a GPU's tensor cores, by mma.sync. A block takes a tile of C and walks along k in
// slabs of one group of 128, which asynchronous copies bring into shared memory some slabs ahead.
// There is one layout of operands, k along the rows and rows at multiples of 16 bytes: others are
// packed into it first (pack_i8_cuda.cu). That reads and writes m * k (n * k) bytes once, where
// turning bytes on their way into shared memory would cost every block instructions in its inner
// loop, and at the sizes that count it is a few hundredths of the time.

#include "device_cuda.cuh"
#include "matmul_cuda.hpp"
#include "pack_i8_cuda.hpp"
#include "tiles_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

constexpr int depth = 128;       // of a slab, along k: one group
constexpr int chunk_bytes = 16;  // of a copy, and of a row of what load_matrices loads
constexpr int chunks = depth / chunk_bytes;

// Sums of i8x start from this, the bits of 1.5 * 2^23: plus a sum of at most 2^21, these are the
// bits of that number plus the sum, and subtracting it is exact. Conversions are slower.
constexpr std::int32_t bias_bits = 0x4b400000;
constexpr float bias = 12582912.0f;

/// acc = fmaf(float(sum), scale, acc), where `biased` is the sum and bias_bits.
VOLT_DEVICE void join(float& acc, std::int32_t biased, float scale) {
  acc = fused(bits_float(static_cast<std::uint32_t>(biased)) - bias, scale, acc);
}

/// Warps with `rows` x `cols` elements of C each.
template <int warps_m_, int warps_n_, int rows_, int cols_, int stages_, unsigned resident_>
struct Shape {
  static constexpr int warps_m = warps_m_, warps_n = warps_n_, rows = rows_, cols = cols_;
  static constexpr int stages = stages_;
  static constexpr int m = warps_m * rows, n = warps_n * cols;  // of a block
  static constexpr int threads = 32 * warps_m * warps_n;
  static constexpr unsigned resident = resident_;
};

/// Large ones need the shared memory of 8.0 or 9.0; small ones fit 7.5, too. Where groups are
/// joined (T is fp32), sums come on top of the accumulators, and leave registers for fewer of
/// these.
template <class T>
constexpr bool is_joined = std::is_same_v<T, float>;
template <class T>
using Large = std::conditional_t<is_joined<T>, Shape<4, 2, 48, 64, 3, 1>,  // 192 x 128
                                 Shape<2, 4, 64, 64, 3, 1>>;               // 128 x 256
template <class T>
using Medium = Shape<2, 2, is_joined<T> ? 48 : 64, 64, 3, 2>;  // 96 or 128 x 128
template <class T>
using Small = Shape<2, 2, 32, 32, 3, 2>;  // 64 x 64

/// One operand, lanes (rows of A, columns of B) a stride apart.
struct Operand {
  const std::int8_t* data;
  std::uint64_t lanes, stride;
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

  VOLT_DEVICE Side(const Operand& operand, std::uint64_t first)
      : lane(static_cast<int>(thread_index() / chunks)),
        chunk(static_cast<int>(thread_index() % chunks)),
        last(left_of(operand.lanes, first, width) - 1),
        stride(static_cast<std::uint32_t>(operand.stride)),
        from(operand.data + first * operand.stride) {}

  VOLT_DEVICE const std::int8_t* source(int j) const {
    const int mine = lane + j * across, there = mine < last ? mine : last;
    return from +
           (static_cast<std::uint32_t>(there) * stride + chunk * chunk_bytes);  // see max_stride
  }

  /// The slab at `from`, of which there are only `left` k; the rest becomes 0.
  VOLT_DEVICE void copy(Slab<width>& slab, int left) {
    const SharedAddress to(&slab.at[lane][Slab<width>::place(lane, chunk) * chunk_bytes]);
    if (left == depth) {
      VOLT_UNROLL
      for (int j = 0; j < copies; ++j) copy_async_16(to.after(j * across * depth), source(j));
    } else {
      const int mine = left - chunk * chunk_bytes;
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
  Operand a, b;
  Scales scales_a, scales_b;
  T* c;
  std::uint64_t stride_c;
  std::uint32_t slabs;  ///< along k
  int last_depth;       ///< k of the last slab
  bool pairs_of_c;      ///< pairs of C's columns are at multiples of 8 bytes
};

template <class Shape, class T>
struct MatmulI8 {
  static constexpr bool joined = is_joined<T>;
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
          left(job.slabs) {}
    VOLT_DEVICE void copy(Stage<Shape, joined>& stage, int last_depth) {
      if (left != 0) {
        const int here = left == 1 ? last_depth : depth;
        a.copy(stage.a, here);
        b.copy(stage.b, here);
        if constexpr (joined) {
          scales_a.copy(stage.scales_a);
          scales_b.copy(stage.scales_b);
        }
        --left;
      }
      commit_copies();
    }
    Side<Shape::m, Shape::threads> a;
    Side<Shape::n, Shape::threads> b;
    ScaleSide<Shape::m, Shape::threads> scales_a;
    ScaleSide<Shape::n, Shape::threads> scales_b;
    std::uint32_t left;  // slabs
  };

  /// This warp's part of the tile, and this lane's in fragments (multiply_16x8x32).
  struct Place {
    VOLT_DEVICE explicit Place(std::uint32_t thread)
        : lane(static_cast<int>(thread % 32)),
          row(static_cast<int>(thread / 32 / Shape::warps_n * Shape::rows)),
          col(static_cast<int>(thread / 32 % Shape::warps_n * Shape::cols)) {}
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
    for (int s = 0; s < stages - 1; ++s) feed.copy(shared.stage[s], job.last_depth);
    int stage = 0, last = stages - 1;
    for (std::uint32_t slab = 0; slab < job.slabs; ++slab) {
      wait_for_copies<stages - 2>();
      sync_block();  // all see this stage, and have read the last
      feed.copy(shared.stage[last], job.last_depth);
      walk(shared.stage[stage], Place(anew(thread_index())), acc);
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
  /// registers: then shared memory is read only once. The sums of one strip are joined while the
  /// tensor cores have the next.
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
    const Tiling::Position tile = tiling.at(anew(block_index()));
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
    Pair& pair = *reinterpret_cast<Pair*>(at);
    if (job.pairs_of_c) {
      if (left <= 0) return;
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
// ---- the host's part

bool k_is_rows_of_a(Form form) { return form == Form::atb; }
bool k_is_rows_of_b(Form form) { return form != Form::abt; }

Scales scales_of(const View<const float>& view, bool k_is_rows) {
  if (k_is_rows) return {view.data, view.cols, 1, view.stride};
  return {view.data, view.rows, view.stride, 1};
}

template <class Shape, class T>
double cost(const Job<T>& job, double worth) {
  if (sizeof(typename MatmulI8<Shape, T>::Shared) > max_shared_bytes()) return 1e300;
  return rounds_cost(Tiling(job.a.lanes, job.b.lanes, Shape::m, Shape::n), Shape::m, Shape::n,
                     worth);
}

template <class T>
Tile tile_for(const Job<T>& job) {
  const double large = cost<Large<T>>(job, 1.0), medium = cost<Medium<T>>(job, 0.9);
  const double small = cost<Small<T>>(job, 0.6);
  if (large <= medium && large <= small) return Tile::large;
  return medium <= small ? Tile::medium : Tile::small;
}

template <class Shape, class T>
Status start(CudaStream stream, const Job<T>& job) {
  const Tiling tiling(job.a.lanes, job.b.lanes, Shape::m, Shape::n);
  return launch(stream, tiling.count(), MatmulI8<Shape, T>{job, tiling});
}

template <class T>
Status start(CudaStream stream, const Job<T>& job, Tile tile) {
  switch (tile == Tile::by_shape ? tile_for(job) : tile) {
    case Tile::large:
      return start<Large<T>>(stream, job);
    case Tile::medium:
      return start<Medium<T>>(stream, job);
    default:
      return start<Small<T>>(stream, job);
  }
}

/// Lanes of an operand that the product takes at a time: all, or as many as scratch memory holds.
struct Panels {
  View<const std::int8_t> view;
  bool k_is_rows, packed;
  std::uint64_t lanes, each = 0;
  std::int8_t* scratch = nullptr;

  Panels(const View<const std::int8_t>& v, bool rows)
      : view(v), k_is_rows(rows), packed(needs_packing(v, rows)), lanes(rows ? v.cols : v.rows) {}

  std::uint64_t wanted(std::uint64_t k) const { return packed ? lanes * packed_stride(k) : 0; }
  /// Takes what it can use of `rows` rows at `at`; returns how many.
  std::uint64_t take(std::int8_t* at, std::uint64_t rows) {
    constexpr std::uint64_t whole_tiles = 256;
    each = lanes;
    if (!packed) return 0;
    if (rows < lanes) each = rows < whole_tiles ? rows : rows / whole_tiles * whole_tiles;
    scratch = at;
    return each;
  }
  /// The panel from `first` on.
  Operand at(std::uint64_t first, std::uint64_t k) const {
    const std::uint64_t here = lanes - first < each ? lanes - first : each;
    if (packed) return {scratch, here, packed_stride(k)};
    return {view.data + first * view.stride, here, view.stride};
  }
  Status pack(CudaStream stream, std::uint64_t first, std::uint64_t k) const {
    if (!packed) return {};
    return cuda_pack_i8(stream, view, k_is_rows, first, at(first, k).lanes, scratch);
  }
};
template <class T>
Status run(CudaStream stream, const Product<std::int8_t, T>& p, const Scales& scales_a,
           const Scales& scales_b, Scratch scratch, Tile tile) {
  Panels a(p.a, k_is_rows_of_a(p.form)), b(p.b, k_is_rows_of_b(p.form));
  const std::uint64_t row = packed_stride(p.k), rows = row == 0 ? 0 : scratch.bytes / row;
  if (rows < std::uint64_t{a.packed} + b.packed) {
    return {Status::out_of_memory, "no memory left for packed operands"};
  }
  const auto slabs = static_cast<std::uint32_t>((p.k + depth - 1) / depth);
  const int last_depth = p.k % depth == 0 ? depth : static_cast<int>(p.k % depth);
  auto* at = reinterpret_cast<std::int8_t*>(scratch.data);
  const std::uint64_t rows_b = b.packed ? (b.lanes < rows / 2 ? b.lanes : rows / 2) : 0;
  const std::uint64_t taken = a.take(at, rows - rows_b);
  b.take(at + taken * row, rows - taken);
  for (std::uint64_t i = 0; i < a.lanes; i += a.each) {
    Status status = a.pack(stream, i, p.k);
    for (std::uint64_t j = 0; j < b.lanes && status.code == Status::ok; j += b.each) {
      if (i == 0 || b.each < b.lanes) status = b.pack(stream, j, p.k);
      if (status.code != Status::ok) break;
      T* c = p.c.data + i * p.c.stride + j;
      const bool pairs = reinterpret_cast<std::uintptr_t>(c) % 8 == 0 && p.c.stride % 2 == 0 &&
                         b.at(j, p.k).lanes % 2 == 0;
      status = start(stream,
                     Job<T>{a.at(i, p.k), b.at(j, p.k), scales_a.from(i), scales_b.from(j), c,
                            p.c.stride, slabs, last_depth, pairs},
                     tile);
    }
    if (status.code != Status::ok) return status;
  }
  return {};
}

// More would only save panels.
constexpr std::uint64_t max_scratch = std::uint64_t{1} << 30;

template <class T>
std::uint64_t scratch_for(const Product<std::int8_t, T>& p) {
  if (is_diagonal(p.form)) return 0;
  const std::uint64_t wanted = Panels(p.a, k_is_rows_of_a(p.form)).wanted(p.k) +
                               Panels(p.b, k_is_rows_of_b(p.form)).wanted(p.k);
  const std::uint64_t least = 2 * packed_stride(p.k);
  return wanted < max_scratch ? wanted : max_scratch < least ? least : max_scratch;
}

}  // namespace

std::uint64_t scratch_bytes(const Product<std::int8_t, std::int32_t>& job) {
  return scratch_for(job);
}
std::uint64_t scratch_bytes(const QuantisedProduct& job) { return scratch_for(job); }

Status cuda_matmul_i8(CudaStream stream, const Product<std::int8_t, std::int32_t>& job,
                      Scratch scratch, Tile tile) {
  if (is_diagonal(job.form)) return cuda_matmul_elements(stream, job);
  return run(stream, job, Scales{}, Scales{}, scratch, tile);
}

Status cuda_matmul_i8x(CudaStream stream, const QuantisedProduct& job, Scratch scratch, Tile tile) {
  if (is_diagonal(job.form)) return cuda_matmul_elements(stream, job);
  return run(stream, static_cast<const Product<std::int8_t, float>&>(job),
             scales_of(job.scales_a, k_is_rows_of_a(job.form)),
             scales_of(job.scales_b, k_is_rows_of_b(job.form)), scratch, tile);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
