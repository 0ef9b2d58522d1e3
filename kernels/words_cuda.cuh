// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {

/// 16 bytes, which a thread reads or writes at once where their address is a multiple of 16.
struct Words {
  std::uint32_t word[4];
};

VOLT_DEVICE bool is_aligned(const void* at, std::uint32_t bytes) {
  return reinterpret_cast<std::uintptr_t>(at) % bytes == 0;
}

#if defined(VOLT_EMULATED)

VOLT_DEVICE Words load_16(const void* at) {
  Words words;
  __builtin_memcpy(&words, at, sizeof words);
  return words;
}

VOLT_DEVICE void store_16(void* at, const Words& words) {
  __builtin_memcpy(at, &words, sizeof words);
}

#else  // in CUDA's own words: of others the compiler makes four accesses

VOLT_DEVICE Words load_16(const void* at) {
  const uint4 value = *static_cast<const uint4*>(at);
  return {{value.x, value.y, value.z, value.w}};
}

VOLT_DEVICE void store_16(void* at, const Words& words) {
  __stwb(static_cast<uint4*>(at),
         make_uint4(words.word[0], words.word[1], words.word[2], words.word[3]));
}

#endif

}  // namespace VOLT_ISA
}  // namespace volt::kernels
