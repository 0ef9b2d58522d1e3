// SPDX-License-Identifier: Apache-2.0

// f32x on a GPU: plain FFMA, one chain per element. A block takes a tile of C into registers and
// walks along k in slabs, which asynchronous copies bring into shared memory some slabs ahead.
// Shared memory holds both operands by k, so that a thread reads four neighbouring rows (columns)
// at once; an operand that is stored along k is turned on the way, four bytes a copy.

#include "device_cuda.cuh"
#include "matmul_cuda.hpp"
#include "tiles_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

constexpr int depth = 16;  // of a slab, along k

/// How copies find an operand's lanes (rows of A, columns of B).
enum class Access {
  wide,    ///< neighbours in memory, in groups of four at multiples of 16 bytes
  narrow,  ///< neighbours in memory
  turned,  ///< a stride apart; neighbours in memory follow along k
};

struct alignas(16) Quad {
  float at[4];
};

/// Warps of 4 x 8 threads, each with `rows` x `cols` elements of C.
template <int warps_m_, int warps_n_, int rows_, int cols_, int stages_, unsigned resident_>
struct Shape {
  static constexpr int warps_m = warps_m_, warps_n = warps_n_, rows = rows_, cols = cols_;
  static constexpr int stages = stages_;
  static constexpr int m = warps_m * 4 * rows, n = warps_n * 8 * cols;  // of a block
  static constexpr unsigned threads = 32 * warps_m * warps_n, resident = resident_;
};

using Large = Shape<2, 2, 16, 8, 3, 2>;  // 128 x 128
using Medium = Shape<2, 2, 8, 4, 3, 4>;  // 64 x 64
using Small = Shape<2, 1, 4, 4, 4, 8>;   // 32 x 32

/// One operand's slabs on their way into shared memory: this thread's share of the copies. `width`
/// lanes; offsets are bytes of 32 bits, which the largest stride allows.
template <Access access, int width, int threads>
struct Side {
  static constexpr bool wide = access == Access::wide, turned = access == Access::turned;
  // Turned copies of a warp go to 8 k of 4 lanes: with rows 4 apart these are all 32 banks.
  static constexpr int pitch = width + 4;
  static constexpr int along_k = 8;
  static constexpr int each = wide ? 4 : 1;  // lanes of one copy
  static constexpr int copies = width * depth / each / threads;
  static constexpr int across = turned ? threads / along_k : width / each;
  static constexpr int k_step = turned ? along_k : threads / across;
  static constexpr int k_steps = depth / k_step;  // copies of the same lanes
  static constexpr int lanes_each = copies / k_steps;
  static_assert(turned ? width % across == 0 : threads % across == 0);

  struct Slab {
    float at[depth][pitch];
  };

  /// Lanes from `first` on, of which there are `lanes` in all. For those beyond, another lane is
  /// copied, which comes to nothing.
  VOLT_DEVICE Side(const float* data, std::uint64_t stride, std::uint64_t first,
                   std::uint64_t lanes)
      : from(data + first * (turned ? stride : 1)), stride_k(turned ? 1 : stride) {
    const auto i = static_cast<int>(thread_index());
    const int left = left_of(lanes, first, width);
    k = turned ? i % along_k : i / across;
    lane = turned ? i / along_k : i % across * each;
    VOLT_UNROLL
    for (int j = 0; j < lanes_each; ++j) {
      const int mine = lane + j * across, there = mine < left ? mine : left - each;
      offset[j] = static_cast<std::uint32_t>(k * stride_k + there * (turned ? stride : 1)) * 4;
    }
  }

  /// Copies [begin, end) of the slab that begins at `from`, of which there are only `left` k.
  VOLT_DEVICE void copy(Slab& slab, int begin, int end, int left) const {
    const SharedAddress to(&slab.at[k][lane]);
    VOLT_UNROLL
    for (int j = begin; j < end; ++j) {
      const int ahead = j % k_steps * k_step, other = j / k_steps;
      const auto* source = reinterpret_cast<const char*>(from + ahead * stride_k) + offset[other];
      if (k + ahead >= left) continue;
      const SharedAddress there = to.after((ahead * pitch + other * across) * sizeof(float));
      if constexpr (wide) {
        copy_async_16(there, source);
      } else {
        copy_async_4(there, source);
      }
    }
  }

  VOLT_DEVICE void advance() { from += depth * stride_k; }

  const float* from;
  std::uint64_t stride_k;
  std::uint32_t offset[lanes_each];
  int k, lane;
};

template <class Shape, Access access_a, Access access_b>
struct MatmulF32x {
  static constexpr unsigned threads = Shape::threads, resident = Shape::resident;
  static constexpr int stages = Shape::stages, rows = Shape::rows, cols = Shape::cols;
  using A = Side<access_a, Shape::m, static_cast<int>(threads)>;
  using B = Side<access_b, Shape::n, static_cast<int>(threads)>;

  struct Stage {
    typename A::Slab a;
    typename B::Slab b;
  };
  struct Shared {
    Stage stage[stages];
  };

  struct Fragment {
    float a[rows], b[cols];
  };

  /// Copies slab after slab, into the stages by turns.
  struct Feed {
    VOLT_DEVICE Feed(const MatmulF32x& job, Tiling::Position tile)
        : a(job.a, job.stride_a, tile.m * Shape::m, job.m),
          b(job.b, job.stride_b, tile.n * Shape::n, job.n),
          left(job.k) {}

    /// Part `part` of `parts` of the next slab.
    VOLT_DEVICE void copy(Stage& stage, int part, int parts) const {
      const int there = left < depth ? static_cast<int>(left) : depth;
      a.copy(stage.a, A::copies * part / parts, A::copies * (part + 1) / parts, there);
      b.copy(stage.b, B::copies * part / parts, B::copies * (part + 1) / parts, there);
    }
    VOLT_DEVICE void finish() {
      commit_copies();
      a.advance();
      b.advance();
      left = left < depth ? 0 : left - depth;
    }

    A a;
    B b;
    std::uint64_t left;  // k not yet copied
  };

  /// Where this thread's elements are: quads of rows 16 apart and of columns 32 apart. Every eight
  /// lanes read 2 quads of A and 4 of B.
  struct Place {
    VOLT_DEVICE Place() {
      const auto warp = static_cast<int>(thread_index() / 32);
      const auto in_warp = static_cast<int>(thread_index() % 32);
      row = warp / Shape::warps_n * (4 * rows) + (in_warp / 16 * 2 + in_warp % 2) * 4;
      col = warp % Shape::warps_n * (8 * cols) + in_warp / 2 % 8 * 4;
    }
    int row, col;
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const Tiling::Position tile = tiling.at(block_index());
    const Place place;
    float acc[rows][cols] = {};
    over_c<false>(tile, place, acc);
    Feed feed(*this, tile);
    VOLT_UNROLL
    for (int s = 0; s < stages - 1; ++s) {
      feed.copy(shared.stage[s], 0, 1);
      feed.finish();
    }
    wait_for_copies<stages - 2>();
    sync_block();
    Fragment fragment[2];
    load(fragment[0], shared.stage[0], 0, place);
    int stage = 0;
    for (std::uint64_t slab = k / depth; slab != 0; --slab) {
      const int next = stage + 1 < stages ? stage + 1 : 0,
                last = stage > 0 ? stage - 1 : stages - 1;
      VOLT_UNROLL
      for (int e = 0; e < depth; ++e) {
        if (e == depth - 1) {
          feed.finish();
          wait_for_copies<stages - 2>();
          sync_block();
          load(fragment[0], shared.stage[next], 0, place);
        } else {
          if (e % 4 == 0) feed.copy(shared.stage[last], e / 4, 4);  // all have read what it holds
          load(fragment[(e + 1) % 2], shared.stage[stage], e + 1, place);
        }
        step(acc, fragment[e % 2]);
      }
      stage = next;
    }
    for (int e = 0; e < static_cast<int>(k % depth); ++e) {
      load(fragment[0], shared.stage[stage], e, place);
      step(acc, fragment[0]);
    }
    wait_for_copies<0>();
    over_c<true>(tile, place, acc);
  }

  VOLT_DEVICE static void load(Fragment& to, const Stage& stage, int k, const Place& place) {
    const float* a = &stage.a.at[k][place.row];
    const float* b = &stage.b.at[k][place.col];
    VOLT_UNROLL
    for (int i = 0; i < rows; i += 4) take(&to.a[i], *reinterpret_cast<const Quad*>(a + i * 4));
    VOLT_UNROLL
    for (int j = 0; j < cols; j += 4) take(&to.b[j], *reinterpret_cast<const Quad*>(b + j * 8));
  }

  VOLT_DEVICE static void take(float* to, Quad quad) {
    VOLT_UNROLL
    for (int e = 0; e < 4; ++e) to[e] = quad.at[e];
  }

  VOLT_DEVICE static void step(float (&acc)[rows][cols], const Fragment& x) {
    VOLT_UNROLL
    for (int i = 0; i < rows; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < cols; ++j) acc[i][j] = fused(x.a[i], x.b[j], acc[i][j]);
    }
  }

  /// Takes the tile from C, or with `store` gives it back.
  template <bool store>
  VOLT_DEVICE void over_c(Tiling::Position tile, const Place& place,
                          float (&acc)[rows][cols]) const {
    const std::uint64_t row = tile.m * Shape::m + place.row, col = tile.n * Shape::n + place.col;
    const int rows_left = left_of(m, row, Shape::m), cols_left = left_of(n, col, Shape::n);
    float* at = c + row * stride_c + col;
    VOLT_UNROLL
    for (int i = 0; i < rows; ++i) {
      const int down = i / 4 * 16 + i % 4;
      VOLT_UNROLL
      for (int j = 0; j < cols; j += 4) {
        const int left = down < rows_left ? cols_left - j * 8 : 0;
        quad_of_c<store>(at + down * stride_c + j * 8, left, &acc[i][j]);
      }
    }
  }

  /// `left` of the quad's columns are there, or more.
  template <bool store>
  VOLT_DEVICE void quad_of_c(float* at, int left, float* acc) const {
    if (wide_c) {
      if (left <= 0) return;
      Quad& quad = *reinterpret_cast<Quad*>(at);
      if (!store) return take(acc, quad);
      quad = {canonical(acc[0]), canonical(acc[1]), canonical(acc[2]), canonical(acc[3])};
    } else {
      VOLT_UNROLL
      for (int e = 0; e < 4; ++e) {
        if (e >= left) continue;
        if (store) at[e] = canonical(acc[e]);
        if (!store) acc[e] = at[e];
      }
    }
  }

  const float *a, *b;
  float* c;
  std::uint64_t m, n, k, stride_a, stride_b, stride_c;
  bool wide_c;  // quads of C are at multiples of 16 bytes
  Tiling tiling;
};

template <class T>
bool is_wide(const View<T>& view) {
  return reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0 && view.stride % 4 == 0 &&
         view.cols % 4 == 0;
}

template <class Shape, Access access_a, Access access_b>
Status start(CudaStream stream, const Product<float, float>& job) {
  const Tiling tiling(job.m, job.n, Shape::m, Shape::n);
  const MatmulF32x<Shape, access_a, access_b> kernel = {
      job.a.data,   job.b.data,   job.c.data,   job.m,          job.n, job.k,
      job.a.stride, job.b.stride, job.c.stride, is_wide(job.c), tiling};
  return launch(stream, tiling.count(), kernel);
}

template <class Shape>
Status start(CudaStream stream, const Product<float, float>& job) {
  using enum Access;
  const bool wide_b = is_wide(job.b);
  switch (job.form) {
    case Form::ab:
      return wide_b ? start<Shape, turned, wide>(stream, job)
                    : start<Shape, turned, narrow>(stream, job);
    case Form::atb:
      return wide_b && is_wide(job.a) ? start<Shape, wide, wide>(stream, job)
                                      : start<Shape, narrow, narrow>(stream, job);
    default:
      return start<Shape, turned, turned>(stream, job);
  }
}

template <class Shape>
double cost(const Product<float, float>& job, double worth) {
  return rounds_cost(Tiling(job.m, job.n, Shape::m, Shape::n), Shape::m, Shape::n, worth);
}

Tile tile_for(const Product<float, float>& job) {
  const double large = cost<Large>(job, 1.0), medium = cost<Medium>(job, 0.8);
  const double small = cost<Small>(job, 0.5);
  if (large <= medium && large <= small) return Tile::large;
  return medium <= small ? Tile::medium : Tile::small;
}

// 128 lanes are addressed by 32 bits.
constexpr std::uint64_t max_stride = (std::uint64_t{1} << 32) / 4 / 128 - depth;

}  // namespace

Status cuda_matmul_f32x(CudaStream stream, const Product<float, float>& job, Tile tile) {
  if (is_diagonal(job.form) || job.a.stride > max_stride || job.b.stride > max_stride) {
    return cuda_matmul_elements(stream, job);
  }
  switch (tile == Tile::by_shape ? tile_for(job) : tile) {
    case Tile::large:
      return start<Large>(stream, job);
    case Tile::medium:
      return start<Medium>(stream, job);
    default:
      return start<Small>(stream, job);
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
