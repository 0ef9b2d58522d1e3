// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pack_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// The contracts are those of the rows of Loops with the same names.
void diagonal_f32(const Side& a, const Side& b, std::uint64_t count, std::uint64_t k, float* c,
                  std::uint64_t stride);
void diagonal_i8(const Side& a, const Side& b, std::uint64_t count, std::uint64_t k,
                 std::int32_t* c, std::uint64_t stride);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
