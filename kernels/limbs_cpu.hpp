// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "loops.hpp"

/// Numbers of two int8 limbs and their products, compiled once per instruction set; the contracts
/// are those of the rows of Loops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void pack_limbs_a(std::uint32_t* to, const Side& high, const Side& low, std::uint64_t lanes,
                  std::uint64_t k);
void pack_limbs_b(std::uint32_t* to, std::int32_t* start, const Side& high, const Side& low,
                  std::uint64_t lanes, std::uint64_t k);
void block_i8x2(const std::uint32_t* a, const std::uint32_t* b, const std::int32_t* start,
                const float* scales_a, const float* scales_b, std::uint64_t words, float* c,
                std::uint64_t stride, std::uint64_t rows, std::uint64_t cols);
void quantise_limbs_row(const float* x, std::uint64_t cols, std::uint64_t width, std::int8_t* high,
                        std::int8_t* low, float* scales);
void quantise_limbs_columns(const float* x, std::uint64_t stride, std::uint64_t rows,
                            std::uint64_t cols, std::int8_t* high, std::int8_t* low,
                            std::uint64_t stride_high, std::uint64_t stride_low, float* scales);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
