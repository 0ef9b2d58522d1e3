// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loops.hpp"
#include "vector_cpu.hpp"

/// int8 products with so few columns that reading A is most of the work: A is read as it is
/// stored, k along its rows, while columns are the lanes of vectors. Compiled once per instruction
/// set. The contracts are those of the rows of Loops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

#if defined(__AVX512VNNI__)
void pack_narrow(std::uint32_t* to, const Side& side, std::uint64_t lanes, std::uint64_t k);
void narrow_i8(const Side& a, const std::uint32_t* b, std::uint64_t k, std::int32_t* c,
               std::uint64_t stride, std::uint64_t rows, std::uint64_t cols);
#else
constexpr decltype(Loops::pack_narrow) pack_narrow = nullptr;
constexpr decltype(Loops::narrow_i8) narrow_i8 = nullptr;
#endif

}  // namespace VOLT_ISA
}  // namespace volt::kernels
