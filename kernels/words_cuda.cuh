// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {

/// 16 bytes, which a thread reads or writes at once where the address is a multiple of 16.
struct Words {
  std::uint32_t word[4];
};

VOLT_DEVICE bool is_aligned_16(const void* at) {
  return reinterpret_cast<std::uintptr_t>(at) % 16 == 0;
}

VOLT_DEVICE Words load_16(const void* at) {
  Words words;
  __builtin_memcpy(&words, __builtin_assume_aligned(at, 16), sizeof words);
  return words;
}

VOLT_DEVICE void store_16(void* at, const Words& words) {
  __builtin_memcpy(__builtin_assume_aligned(at, 16), &words, sizeof words);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
