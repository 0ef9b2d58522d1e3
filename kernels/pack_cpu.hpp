// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loops.hpp"
#include "vector_cpu.hpp"

/// Packing of operands for the inner products, compiled once per instruction set. A packed tile has
/// `width` lanes side by side for each step along k, in the order in which they are read.
namespace volt::kernels {
inline namespace VOLT_ISA {

// A tile of C stays in registers: rows x 2 vectors of sums, 2 of B and one of A.
constexpr int tile_rows = lanes == 16 ? 12 : lanes == 8 ? 6 : 4;
constexpr int tile_cols = 2 * lanes;

static inline std::uint64_t least(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

// The contracts are those of the rows of Loops with the same names.
void pack_f32(float* to, const Side& side, std::uint64_t count, std::uint64_t width,
              std::uint64_t k);
// Every word is xored with `flip`, those that stand for nothing as well.
void pack_i8(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t width,
             std::uint64_t k, std::uint32_t flip);
void pack_i8_a(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t k);
#if defined(__AVX512VNNI__)
void pack_i8_b_unsigned(std::uint32_t* to, const Side& side, std::uint64_t count, std::uint64_t k);
void sum_rows(std::int32_t* start, const Side& side, std::uint64_t count, std::uint64_t k,
              std::uint64_t width);
#else
constexpr decltype(Loops::pack_i8_b_unsigned) pack_i8_b_unsigned = nullptr;
constexpr decltype(Loops::sum_rows) sum_rows = nullptr;
#endif
void pack_i8_b(std::uint32_t* to, std::int32_t* start, const Side& side, std::uint64_t count,
               std::uint64_t k, std::uint64_t words_per_group);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
