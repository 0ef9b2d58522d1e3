// SPDX-License-Identifier: Apache-2.0

// Products one thread an element, as the loops of cpu_reference.cpp have it: a diagonal, or all of
// C.

#include "device_cuda.cuh"
#include "matmul_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

/// An operand by lane (row of A, column of B) and k.
template <class T>
struct Operand {
  Operand(const View<const T>& view, bool k_is_rows)
      : data(view.data),
        lane_step(k_is_rows ? 1 : view.stride),
        k_step(k_is_rows ? view.stride : 1) {}
  VOLT_DEVICE T at(std::uint64_t lane, std::uint64_t k) const {
    return data[lane * lane_step + k * k_step];
  }
  const T* data;
  std::uint64_t lane_step, k_step;
};

VOLT_DEVICE std::int32_t dot(const Operand<std::int8_t>& a, const Operand<std::int8_t>& b,
                             std::uint64_t i, std::uint64_t j, std::uint64_t first,
                             std::uint64_t end) {
  std::int32_t sum = 0;
  for (std::uint64_t p = first; p < end; ++p) sum += a.at(i, p) * b.at(j, p);
  return sum;
}

struct F32x {
  explicit F32x(const Product<float, float>& job)
      : a(job.a, k_is_rows_of_a(job.form)), b(job.b, k_is_rows_of_b(job.form)), k(job.k) {}
  VOLT_DEVICE float operator()(std::uint64_t i, std::uint64_t j, float acc) const {
    for (std::uint64_t p = 0; p < k; ++p) acc = fused(a.at(i, p), b.at(j, p), acc);
    return canonical(acc);
  }
  Operand<float> a, b;
  std::uint64_t k;
};

struct I8 {
  explicit I8(const Product<std::int8_t, std::int32_t>& job)
      : a(job.a, k_is_rows_of_a(job.form)), b(job.b, k_is_rows_of_b(job.form)), k(job.k) {}
  VOLT_DEVICE std::int32_t operator()(std::uint64_t i, std::uint64_t j, std::int32_t acc) const {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(acc) +
                                     static_cast<std::uint32_t>(dot(a, b, i, j, 0, k)));
  }
  Operand<std::int8_t> a, b;
  std::uint64_t k;
};

struct I8x {
  explicit I8x(const QuantisedProduct& job)
      : a(job.a, k_is_rows_of_a(job.form)),
        b(job.b, k_is_rows_of_b(job.form)),
        scales_a(job.scales_a, k_is_rows_of_a(job.form)),
        scales_b(job.scales_b, k_is_rows_of_b(job.form)),
        k(job.k) {}
  VOLT_DEVICE float operator()(std::uint64_t i, std::uint64_t j, float acc) const {
    for (std::uint64_t g = 0; g * group < k; ++g) {
      const std::uint64_t end = (g + 1) * group < k ? (g + 1) * group : k;
      acc = i8x_step(acc, dot(a, b, i, j, g * group, end), scales_a.at(i, g), scales_b.at(j, g));
    }
    return canonical(acc);
  }
  Operand<std::int8_t> a, b;
  Operand<float> scales_a, scales_b;
  std::uint64_t k;
};

struct I8x2 {
  explicit I8x2(const LimbsProduct& job)
      : a(job.a, k_is_rows_of_a(job.form)),
        b(job.b, k_is_rows_of_b(job.form)),
        low_a(job.low_a, k_is_rows_of_a(job.form)),
        low_b(job.low_b, k_is_rows_of_b(job.form)),
        scales_a(job.scales_a, k_is_rows_of_a(job.form)),
        scales_b(job.scales_b, k_is_rows_of_b(job.form)),
        k(job.k) {}
  VOLT_DEVICE float operator()(std::uint64_t i, std::uint64_t j, float acc) const {
    for (std::uint64_t g = 0; g * group < k; ++g) {
      const std::uint64_t first = g * group, end = first + group < k ? first + group : k;
      const std::int32_t hl = dot(a, low_b, i, j, first, end) + dot(low_a, b, i, j, first, end);
      const float sum =
          limbs_sum(dot(a, b, i, j, first, end), hl, dot(low_a, low_b, i, j, first, end));
      acc = fused(sum, scales_a.at(i, g) * scales_b.at(j, g), acc);
    }
    return canonical(acc);
  }
  Operand<std::int8_t> a, b, low_a, low_b;
  Operand<float> scales_a, scales_b;
  std::uint64_t k;
};

/// Neighbouring threads have neighbouring columns.
template <class Element, class T>
struct MatmulElements {
  static constexpr unsigned threads = 128, resident = 1;
  struct Shared {};
  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t e = std::uint64_t{block_index()} * threads + thread_index();
    if (e >= count) return;
    const std::uint64_t i = e / cols, j = diagonal ? i : e % cols;
    T& at = c[i * stride_c + e % cols];
    at = element(i, j, at);
  }
  Element element;
  T* c;
  std::uint64_t count, cols, stride_c;  // cols is 1 on a diagonal
  bool diagonal;
};

template <class Element, class Job>
Status start(CudaStream stream, const Job& job) {
  using T = std::remove_pointer_t<decltype(job.c.data)>;
  const bool diagonal = is_diagonal(job.form);
  const std::uint64_t cols = diagonal ? 1 : job.n, count = job.m * cols;
  using Kernel = MatmulElements<Element, T>;
  return launch(stream, (count + Kernel::threads - 1) / Kernel::threads,
                Kernel{Element(job), job.c.data, count, cols, job.c.stride, diagonal});
}

}  // namespace

Status cuda_matmul_elements(CudaStream stream, const Product<float, float>& job) {
  return start<F32x>(stream, job);
}
Status cuda_matmul_elements(CudaStream stream, const Product<std::int8_t, std::int32_t>& job) {
  return start<I8>(stream, job);
}
Status cuda_matmul_elements(CudaStream stream, const QuantisedProduct& job) {
  return start<I8x>(stream, job);
}
Status cuda_matmul_elements(CudaStream stream, const LimbsProduct& job) {
  return start<I8x2>(stream, job);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
