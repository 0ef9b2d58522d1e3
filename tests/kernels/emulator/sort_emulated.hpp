// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/sort_cuda.hpp"

// The functions of kernels/sort_cuda.hpp in the emulator, where there is no Thrust: std::sort
// behind the same calls, which wants, and spoils, as much scratch as a second buffer for the keys.

namespace volt::kernels {
inline namespace VOLT_ISA {

std::uint64_t sort_bytes(CudaStream, std::uint64_t count) { return count * sizeof(std::uint64_t); }

Status sort_keys(CudaStream stream, std::uint64_t* keys, std::uint64_t count, Scratch scratch) {
  if (scratch.bytes < sort_bytes(stream, count)) {
    return {Status::out_of_memory, "no memory left to sort in"};
  }
  if (reinterpret_cast<std::uintptr_t>(scratch.data) % 64 != 0) {
    return {Status::failed, "the scratch of a sort is not aligned to 64 bytes"};
  }
  std::memset(scratch.data, 0xa5, sort_bytes(stream, count));
  std::sort(keys, keys + count);
  return {};
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
