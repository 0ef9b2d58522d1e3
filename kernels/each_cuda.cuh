// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"
#include "operands.hpp"

/// Operations whose elements have nothing to do with each other.
namespace volt::kernels {
inline namespace VOLT_ISA {

struct ElementAt {
  std::uint64_t row, col;
};

/// The elements of a matrix, row after row, as one run of numbers.
struct Run {
  std::uint64_t rows, cols;

  VOLT_DEVICE std::uint64_t count() const { return rows * cols; }
  VOLT_DEVICE ElementAt at(std::uint64_t i) const {
    if (rows == 1) return {0, i};
    if (count() >> 32 != 0) return {i / cols, i % cols};
    const auto low = static_cast<std::uint32_t>(i), width = static_cast<std::uint32_t>(cols);
    return {low / width, low % width};  // GPUs divide 64 bits slowly
  }
};

/// give(at, take(at)) for every element. A thread takes all of its elements before it gives any,
/// so that many reads are on their way at once.
template <class Operation>
struct Each {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr std::uint32_t mine = 4;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t first = std::uint64_t{block_index()} * (mine * threads) + thread_index();
    ElementAt at[mine] = {};
    typename Operation::Taken taken[mine] = {};
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < mine; ++i) {
      if (first + i * threads >= run.count()) continue;
      at[i] = run.at(first + i * threads);
      taken[i] = operation.take(at[i]);
    }
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < mine; ++i) {
      if (first + i * threads < run.count()) operation.give(at[i], taken[i]);
    }
  }

  Operation operation;
  Run run;
};

/// As one row where all views are without gaps: then nothing is divided.
template <class T, class... Views>
Run run_of(const View<T>& view, const Views&... others) {
  const bool dense = view.stride == view.cols && ((others.stride == others.cols) && ...);
  return dense ? Run{1, view.rows * view.cols} : Run{view.rows, view.cols};
}

template <class Operation>
Status each(CudaStream stream, const Operation& operation, const Run& run) {
  constexpr std::uint64_t per_block = Each<Operation>::mine * Each<Operation>::threads;
  return launch(stream, (run.rows * run.cols - 1) / per_block + 1, Each<Operation>{operation, run});
}

template <class T>
VOLT_DEVICE T& element(const View<T>& view, ElementAt at) {
  return view.data[at.row * view.stride + at.col];
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
