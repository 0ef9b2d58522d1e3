// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "exact.hpp"
#include "operands.hpp"

struct CUstream_st;

/// The products on a GPU, each of which queues its work on a stream and returns. Operands are
/// device memory, of which no extent of C is 0. The status is that of the launches.
namespace volt::kernels {

using CudaStream = CUstream_st*;  ///< cudaStream_t

/// The part of C that a block computes. No choice changes a bit.
enum class Tile : std::int32_t { by_shape, small, medium, large };

/// Device memory for operands that are first laid out anew, aligned to 16 bytes. In use until the
/// product is done.
struct Scratch {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
};

inline namespace VOLT_ISA {

Status cuda_matmul_f32x(CudaStream stream, const Product<float, float>& job,
                        Tile tile = Tile::by_shape);

/// What the int8 products gain from: 0 where both operands have k along their rows and rows that
/// begin at multiples of 16 bytes. With less than that they go in several panels, and come down to
/// one row of each operand; with less yet they are out of memory.
std::uint64_t scratch_bytes(const Product<std::int8_t, std::int32_t>& job);
std::uint64_t scratch_bytes(const QuantisedProduct& job);

Status cuda_matmul_i8(CudaStream stream, const Product<std::int8_t, std::int32_t>& job,
                      Scratch scratch, Tile tile = Tile::by_shape);
Status cuda_matmul_i8x(CudaStream stream, const QuantisedProduct& job, Scratch scratch,
                       Tile tile = Tile::by_shape);

/// i8x2 cannot do without its scratch memory, nor gains from more.
std::uint64_t scratch_bytes(const LimbsProduct& job);
Status cuda_matmul_i8x2(CudaStream stream, const LimbsProduct& job, Scratch scratch);

/// One thread an element of C, with any strides: diagonals, and what tiles cannot address.
Status cuda_matmul_elements(CudaStream stream, const Product<float, float>& job);
Status cuda_matmul_elements(CudaStream stream, const Product<std::int8_t, std::int32_t>& job);
Status cuda_matmul_elements(CudaStream stream, const QuantisedProduct& job);
Status cuda_matmul_elements(CudaStream stream, const LimbsProduct& job);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
