// SPDX-License-Identifier: Apache-2.0

#include "parity.hpp"

namespace volt::gpu {
namespace {

using kernels::Form;
using kernels::Lines;
using kernels::Matrix;
using kernels::Quantised;

constexpr std::uint64_t base = std::uint64_t{1} << 32;
constexpr std::uint64_t bytes = base + (16 << 20) + 77;

// Every operation on places that 32 bits do not reach, one after the other in one buffer; then the
// digests of all of it.
Bytes far_away(Buffers& b) {
  const kernels::Backend& t = b.table();
  kernels::Context* const c = b.context();
  kernels::Buffer* const all = b.room(bytes);
  const auto mib = [](std::uint64_t n) { return base + (n << 20); };
  const auto matrix = [&](std::uint64_t n, std::uint64_t width, std::uint64_t rows,
                          std::uint64_t cols) {
    return Matrix{all, mib(n) / width, rows, cols, cols};
  };
  const Matrix x = matrix(0, 4, 300, 400), y = matrix(1, 4, 300, 400);
  const Quantised q = {matrix(2, 1, 300, 400), matrix(3, 4, 300, 4), Quantised::along_cols};
  const Matrix wide = {all, 0, 5, 100, std::uint64_t{1} << 30};
  const std::uint64_t index[] = {4, 0, 4};
  std::uint64_t first = 0;
  check(t.fill_i8(c, all, 0, bytes, 1, 2, 3));
  check(t.fill_f32(c, all, mib(0) / 4, 300 * 400, 1, 2, base - 5));
  check(t.map(c, kernels::Function::exp, all, mib(0) / 4, all, mib(1) / 4, 300 * 400));
  check(t.quantise(c, x, q));
  check(t.matmul_f32x(c, Form::abt, x, y, matrix(4, 4, 300, 300)));
  check(t.matmul_i8(c, Form::abt, q.q, q.q, matrix(5, 4, 300, 300)));
  check(t.matmul_i8x(c, Form::abt, q, q, matrix(4, 4, 300, 300)));
  check(t.weigh(c, x, matrix(8, 8, 400, 2), matrix(9, 8, 300, 4)));
  check(t.select(c, Lines::rows, 1, wide, index, matrix(6, 1, 3, 100)));
  check(t.copy(c, all, mib(0), all, mib(7), 1'000'001));
  check(t.compare(c, all, mib(0), all, mib(7), 1'000'002, &first));
  check(t.upload(c, all, bytes - 8, &first, 8));
  Bytes digests((bytes + kernels::page_bytes - 1) / kernels::page_bytes * 32);
  check(t.page_digests(c, all, 0, bytes, digests.data()));
  return digests;
}

}  // namespace

void compare_far(Comparison& comparison) {
  comparison.same("beyond 4 GiB", "all operations in one buffer", bytes, far_away);
}

}  // namespace volt::gpu
