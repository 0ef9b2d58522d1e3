// SPDX-License-Identifier: Apache-2.0

#include "operations_cuda.hpp"
#include "words_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

// 16 bytes a thread.
struct Compare {
  static constexpr unsigned threads = 256, resident = 4;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    std::uint64_t i = (std::uint64_t{block_index()} * threads + thread_index()) * 16;
    if (i + 16 <= bytes && is_aligned(a + i, 16) && is_aligned(b + i, 16)) {
      const Words x = load_16(a + i), y = load_16(b + i);
      if (x.word[0] == y.word[0] && x.word[1] == y.word[1] && x.word[2] == y.word[2] &&
          x.word[3] == y.word[3]) {
        return;
      }
    }
    for (const std::uint64_t end = i + 16; i < end && i < bytes; ++i) {
      if (a[i] != b[i]) {
        atomic_min(first, i);
        return;
      }
    }
  }

  const std::uint8_t* a;
  const std::uint8_t* b;
  std::uint64_t bytes;
  std::uint64_t* first;
};

}  // namespace

Status cuda_compare(CudaStream stream, const std::uint8_t* a, const std::uint8_t* b,
                    std::uint64_t bytes, std::uint64_t* first) {
  constexpr std::uint64_t per_block = Compare::threads * 16;
  return launch(stream, (bytes - 1) / per_block + 1, Compare{a, b, bytes, first});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
