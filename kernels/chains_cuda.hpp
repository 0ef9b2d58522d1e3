// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "exact.hpp"
#include "network.hpp"

struct CUstream_st;

namespace volt::kernels {
inline namespace VOLT_ISA {

/// The chains over the rows that a norm's backward adds to its weights' gradients: dw, or dw and
/// db, which must be wanted.
Status cuda_chain_weights(CUstream_st* stream, const RmsNormBackward<Checked>& job);
Status cuda_chain_weights(CUstream_st* stream, const LayerNormBackward<Checked>& job);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
