// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "exact.hpp"
#include "operands.hpp"

struct CUstream_st;
namespace volt::kernels {
struct Engine;
struct Store;
}  // namespace volt::kernels

/// The operations on a GPU, each of which queues its work on a stream and returns. Operands are
/// device memory, of which no extent of the result is 0. The status is that of the launch.
namespace volt::kernels {

using CudaStream = CUstream_st*;  ///< cudaStream_t

inline namespace VOLT_ISA {

Status cuda_fill(CudaStream stream, float* to, const Stream& elements);
Status cuda_fill(CudaStream stream, std::int8_t* to, const Stream& elements);

Status cuda_quantise(CudaStream stream, const QuantiseJob& job);
Status cuda_quantise_limbs(CudaStream stream, const QuantiseLimbsJob& job);

Status cuda_map(CudaStream stream, const MapJob& job);

Status cuda_weigh(CudaStream stream, const Weighing& job);

/// `digests` is device memory, aligned to 4.
Status cuda_page_digests(CudaStream stream, const std::uint8_t* data, std::uint64_t bytes,
                         std::uint8_t* digests);

/// The selection's index, too, is device memory.
Status cuda_select(CudaStream stream, const Selection<std::uint32_t>& selection);
Status cuda_select(CudaStream stream, const Selection<std::uint8_t>& selection);

/// *first becomes the least place at which a and b differ, if that is less than what it was.
Status cuda_compare(CudaStream stream, const std::uint8_t* a, const std::uint8_t* b,
                    std::uint64_t bytes, std::uint64_t* first);

/// All operations as an Engine, whose contexts must be CudaContexts.
Engine cuda_engine(const Store& store);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
