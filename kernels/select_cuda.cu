// SPDX-License-Identifier: Apache-2.0

#include "device_cuda.cuh"
#include "operations_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

// A block writes a piece of one row.
template <class T>
struct Select {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr std::uint64_t per_block = 4 * threads;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t row = block_index() / pieces;
    const std::uint64_t first = block_index() % pieces * per_block + thread_index();
    const bool rows = s.lines == Lines::rows;
    const T* const from = s.from.data + (rows ? s.index[row] : row) * s.from.stride;
    T* const to = s.to.data + row * s.to.stride;
    for (std::uint64_t c = first; c < s.to.cols && c < first + per_block; c += threads) {
      to[c] = from[rows ? c : s.index[c]];
    }
  }

  Selection<T> s;
  std::uint32_t pieces;  // of a row
};

template <class T>
Status select(CudaStream stream, const Selection<T>& s) {
  const std::uint64_t pieces = (s.to.cols - 1) / Select<T>::per_block + 1;
  return launch(stream, s.to.rows * pieces, Select<T>{s, static_cast<std::uint32_t>(pieces)});
}

}  // namespace

Status cuda_select(CudaStream stream, const Selection<std::uint32_t>& s) {
  return select(stream, s);
}
Status cuda_select(CudaStream stream, const Selection<std::uint8_t>& s) {
  return select(stream, s);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
