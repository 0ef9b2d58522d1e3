// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend.hpp"

/// The operands of an operation once they have been checked: plain pointers, which the host reads
/// or the GPU, as the engine does that they are for.
namespace volt::kernels {

/// A checked matrix: T is const where it is only read.
template <class T>
struct View {
  T* data = nullptr;
  std::uint64_t rows = 0, cols = 0, stride = 0;
};

inline bool is_diagonal(Form form) { return form >= Form::ab_diagonal; }
inline bool k_is_rows_of_a(Form form) { return form == Form::atb || form == Form::atb_diagonal; }
inline bool k_is_rows_of_b(Form form) { return form != Form::abt && form != Form::abt_diagonal; }

/// A checked product C[m,n] += A B; the axis of k is known from the form.
template <class In, class Out>
struct Product {
  Form form;
  std::uint64_t m, n, k;
  View<const In> a, b;
  View<Out> c;
};

struct QuantisedProduct : Product<std::int8_t, float> {
  View<const float> scales_a, scales_b;
};

/// a and b are the high limbs.
struct LimbsProduct : QuantisedProduct {
  View<const std::int8_t> low_a, low_b;
};

/// What `weigh` does.
struct Weighing {
  View<const std::int32_t> x;
  View<const std::uint64_t> weights;
  View<std::uint64_t> sums;
};

/// What `select` does, for elements of 1 or 4 bytes. `index` is host memory.
template <class T>
struct Selection {
  Lines lines;
  View<const T> from;
  const std::uint64_t* index;
  View<T> to;
};

struct MapJob {
  Function function;
  const void* x;
  void* y;
  std::uint64_t count;
};

struct QuantiseJob {
  View<const float> x;
  View<std::int8_t> q;
  View<float> scales;
  Quantised::Axis axis;
};

struct QuantiseLimbsJob {
  View<const float> x;
  View<std::int8_t> high, low;
  View<float> scales;
  Quantised::Axis axis;
};

/// Elements [first, first + count) of a random stream.
struct Stream {
  std::uint64_t count, seed, first;
  std::uint32_t stream;
};

}  // namespace volt::kernels
