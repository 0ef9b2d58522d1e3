// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "network_loops.hpp"

/// What sums along rows, compiled once per instruction set. The contracts are those of the rows of
/// NetworkLoops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void rms_norm(const RmsNorm<Checked>& job, const Block& block);
void rms_norm_backward(const RmsNormBackward<Checked>& job, const Block& block);
void rms_norm_weights(const RmsNormBackward<Checked>& job, const Block& block);
void layer_norm(const LayerNorm<Checked>& job, const Block& block);
void layer_norm_backward(const LayerNormBackward<Checked>& job, const Block& block);
void layer_norm_weights(const LayerNormBackward<Checked>& job, const Block& block);
void cross_entropy(const CrossEntropy<Checked>& job, const Block& block);
void square_lanes(const View<const float>& x, std::uint64_t lane, std::uint64_t count,
                  float* lanes);
float lanes_sum(float* lanes);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
