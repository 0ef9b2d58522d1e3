// SPDX-License-Identifier: Apache-2.0

#include "operations_cuda.hpp"
#include "words_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

VOLT_DEVICE std::uint32_t bits_of(float, std::uint32_t word) {
  return float_bits(word_to_f32(word));
}
VOLT_DEVICE std::uint32_t bits_of(std::int8_t, std::uint32_t word) { return word; }

VOLT_DEVICE float element(float, const Words& bits, std::uint32_t i) {
  return bits_float(bits.word[i]);
}
VOLT_DEVICE std::int8_t element(std::int8_t, const Words& bits, std::uint32_t i) {
  return word_to_i8(bits.word[i / 4], i % 4);
}

// A thread makes the elements of one Philox block, 16 bytes of the result.
template <class T>
struct Fill {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr std::uint32_t per_block = 16 / sizeof(T);
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t index = std::uint64_t{block_index()} * threads + thread_index();
    const PhiloxBlock random = random_block(seed, stream, first / per_block + index);
    Words bits;
    for (std::uint32_t i = 0; i < 4; ++i) bits.word[i] = bits_of(T{}, random.word[i]);
    // Before the first element it wraps around, and is no less than `count`.
    const std::uint64_t begin = index * per_block - first % per_block;
    if (begin < count && count - begin >= per_block && is_aligned(to + begin, 16)) {
      store_16(to + begin, bits);
      return;
    }
    for (std::uint32_t i = 0; i < per_block; ++i) {
      if (begin + i < count) to[begin + i] = element(T{}, bits, i);
    }
  }

  T* to;
  std::uint64_t count, seed, first;
  std::uint32_t stream;
};

template <class T>
Status fill(CudaStream stream, T* to, const Stream& s) {
  using Kernel = Fill<T>;
  const std::uint64_t blocks = (s.first % Kernel::per_block + s.count - 1) / Kernel::per_block + 1;
  return launch(stream, (blocks - 1) / Kernel::threads + 1,
                Kernel{to, s.count, s.seed, s.first, s.stream});
}

}  // namespace

Status cuda_fill(CudaStream stream, float* to, const Stream& s) { return fill(stream, to, s); }
Status cuda_fill(CudaStream stream, std::int8_t* to, const Stream& s) {
  return fill(stream, to, s);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
