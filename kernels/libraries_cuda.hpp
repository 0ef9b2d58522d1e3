// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "context_cuda.hpp"
#include "network.hpp"

/// What the profile `native` has NVIDIA's libraries do, which are looked for when first asked for.
/// Operands are device memory, nothing has an extent of 0, and what goes wrong is kept.
namespace volt::kernels {

/// By cuBLASLt.
void multiply_by_library(CudaContext& cuda, const Product<std::uint16_t, float>& job);

/// By cuDNN; false where it is not there, or does not have it.
bool attend_by_library(CudaContext& cuda, const Attention<Checked>& job);
bool attend_by_library(CudaContext& cuda, const AttentionBackward<Checked>& job);

}  // namespace volt::kernels
