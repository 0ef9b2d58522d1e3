// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "exact.hpp"
#include "matmul_cuda.hpp"

/// Sorting on a GPU: Thrust, which sorts integers by their digits. It alone is compiled there.
namespace volt::kernels {
inline namespace VOLT_ISA {

/// Bytes that sort_keys needs besides, for as many keys.
std::uint64_t sort_bytes(CudaStream stream, std::uint64_t count);

/// Queues the sorting of keys, ascending. The scratch, aligned to 64, is in use until it is done.
Status sort_keys(CudaStream stream, std::uint64_t* keys, std::uint64_t count, Scratch scratch);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
