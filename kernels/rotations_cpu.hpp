// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "network_loops.hpp"

/// Rotations, of pairs and of groups, compiled once per instruction set. The contracts
/// are those of the rows of NetworkLoops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void rope(const Rope<Checked>& job, const Block& block);
void rotate(const Rotate<Checked>& job, const Block& block);
void quantise_rotated(const QuantiseRotated<Checked>& job, std::uint64_t row, std::uint64_t col);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
