// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "loops.hpp"

/// The element-wise loops, compiled once per instruction set.
namespace volt::kernels {
inline namespace VOLT_ISA {

// The contract is that of the row of Loops with the same name.
void map(Function function, const void* x, void* y, std::uint64_t first, std::uint64_t count);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
