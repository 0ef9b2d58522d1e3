// SPDX-License-Identifier: Apache-2.0

// i8 and i8x on a GPU. Their kernel knows one layout of operands, k along the rows and rows at
// multiples of 16 bytes: others are packed into it first. That reads and writes m * k (n * k) bytes
// once, where turning bytes on their way into shared memory would cost every block instructions in
// its inner loop; at the sizes that count it is a few hundredths of the time.

#include "matmul_cuda.hpp"
#include "matmul_i8_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

using namespace i8_tiles;

// Large tiles need the shared memory of 8.0 or 9.0; small ones fit 7.5, too. Where groups are
// joined (T is fp32), sums come on top of the accumulators, and leave registers for fewer of these.
template <class T>
constexpr bool is_joined = std::is_same_v<T, float>;
template <class T>
using Large = std::conditional_t<is_joined<T>, Shape<4, 2, 48, 64, 3, 1>,  // 192 x 128
                                 Shape<2, 4, 64, 64, 3, 1>>;               // 128 x 256
template <class T>
using Medium = Shape<2, 2, is_joined<T> ? 48 : 64, 64, 3, 2>;  // 96 or 128 x 128
template <class T>
using Small = Shape<2, 2, 32, 32, 3, 2>;  // 64 x 64

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

template <class T>
Panels panels_of_a(const Product<std::int8_t, T>& p) {
  return {p.a, k_is_rows_of_a(p.form)};
}
template <class T>
Panels panels_of_b(const Product<std::int8_t, T>& p) {
  return {p.b, k_is_rows_of_b(p.form)};
}

template <class T>
Status run(CudaStream stream, const Product<std::int8_t, T>& p, const Scales& scales_a,
           const Scales& scales_b, Scratch scratch, Tile tile) {
  Panels a = panels_of_a(p), b = panels_of_b(p);
  const std::uint64_t row = a.row_bytes(), rows = row == 0 ? 0 : scratch.bytes / row;
  if (rows < std::uint64_t{a.wanted_rows() != 0} + (b.wanted_rows() != 0)) {
    return {Status::out_of_memory, "no memory left for packed operands"};
  }
  const std::uint64_t rows_b = b.wanted_rows() < rows / 2 ? b.wanted_rows() : rows / 2;
  const std::uint64_t taken = a.take(scratch.data, rows - rows_b);
  b.take(scratch.data + taken * row, rows - taken);
  for (std::uint64_t i = 0; i < p.m; i += a.each()) {
    for (std::uint64_t j = 0; j < p.n; j += b.each()) {
      Status status = j == 0 ? a.pack(stream, i) : Status{};
      const bool packed = i != 0 && b.each() == p.n;  // once is enough
      if (status.code == Status::ok && !packed) status = b.pack(stream, j);
      if (status.code != Status::ok) return status;
      const PackedOperand at = a.panel(i), bt = b.panel(j);
      T* c = p.c.data + i * p.c.stride + j;
      const bool pairs =
          reinterpret_cast<std::uintptr_t>(c) % 8 == 0 && p.c.stride % 2 == 0 && bt.lanes % 2 == 0;
      status = start(stream,
                     Job<T>{at, bt, scales_a.from(i), scales_b.from(j), c, p.c.stride, p.k, pairs},
                     tile);
      if (status.code != Status::ok) return status;
    }
  }
  return {};
}

// More would only save panels.
constexpr std::uint64_t max_scratch = std::uint64_t{1} << 30;

template <class T>
std::uint64_t scratch_for(const Product<std::int8_t, T>& p) {
  if (is_diagonal(p.form) || p.k > max_packed_k) return 0;
  const Panels a = panels_of_a(p), b = panels_of_b(p);
  const std::uint64_t wanted = (a.wanted_rows() + b.wanted_rows()) * a.row_bytes();
  return wanted < max_scratch ? wanted : max_scratch;
}

}  // namespace

std::uint64_t scratch_bytes(const Product<std::int8_t, std::int32_t>& job) {
  return scratch_for(job);
}
std::uint64_t scratch_bytes(const QuantisedProduct& job) { return scratch_for(job); }

Status cuda_matmul_i8(CudaStream stream, const Product<std::int8_t, std::int32_t>& job,
                      Scratch scratch, Tile tile) {
  if (is_diagonal(job.form) || job.k > max_packed_k) return cuda_matmul_elements(stream, job);
  return run(stream, job, Scales{}, Scales{}, scratch, tile);
}

Status cuda_matmul_i8x(CudaStream stream, const QuantisedProduct& job, Scratch scratch, Tile tile) {
  if (is_diagonal(job.form) || job.k > max_packed_k) return cuda_matmul_elements(stream, job);
  const Product<std::int8_t, float>& product = job;
  return run(stream, product, scales_of(job.scales_a, k_is_rows_of_a(job.form)),
             scales_of(job.scales_b, k_is_rows_of_b(job.form)), scratch, tile);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
