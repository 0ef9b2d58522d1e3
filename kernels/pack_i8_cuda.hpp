// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "matmul_cuda.hpp"

/// Operands of int8 products in the layout that tensor cores read: a row for each lane (row of A,
/// column of B), k along it, rows at multiples of 16 bytes.
namespace volt::kernels {

/// Bytes from row to row.
constexpr std::uint64_t packed_stride(std::uint64_t k) { return (k + 15) / 16 * 16; }

inline namespace VOLT_ISA {

/// Whether an operand lies otherwise. `k_is_rows`: its rows go along k, its columns are lanes.
bool needs_packing(const View<const std::int8_t>& operand, bool k_is_rows);

/// Lanes [first, first + lanes) to `to`, packed_stride(k) apart. What lies beyond k in a row is not
/// defined.
Status cuda_pack_i8(CudaStream stream, const View<const std::int8_t>& operand, bool k_is_rows,
                    std::uint64_t first, std::uint64_t lanes, std::int8_t* to);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
