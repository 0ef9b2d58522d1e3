// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loops.hpp"

/// Weighted sums of int32 elements. Compiled once per instruction set; contracts are those of the
/// rows of Loops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void pack_weights(std::uint64_t* to, const std::uint64_t* weights, std::uint64_t stride,
                  std::uint64_t count);
void weigh_rows(const std::int32_t* x, std::uint64_t stride, const std::uint64_t* weights,
                std::uint64_t count, std::uint64_t* sums, std::uint64_t stride_sums,
                std::uint64_t rows);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
