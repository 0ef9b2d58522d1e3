// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "network_loops.hpp"

/// What draw does with a row of logits before tokens are put in order, compiled once per
/// instruction set. The contracts are those of the rows of NetworkLoops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

std::uint32_t likeliest(const float* logits, std::uint64_t n);
void probabilities(const float* logits, std::uint64_t n, float temperature, float m, float* p);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
