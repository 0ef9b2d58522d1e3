// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "exact.hpp"
#include "matmul_cuda.hpp"
#include "network.hpp"

struct CUstream_st;

/// The operations of network.hpp on a GPU. As those of operations_cuda.hpp they queue their work on
/// a stream, operands are device memory, nothing has an extent of 0, and the status is that of the
/// launch.
namespace volt::kernels {

struct NetworkEngine;
using CudaStream = CUstream_st*;  ///< cudaStream_t

inline namespace VOLT_ISA {

Status cuda_rms_norm(CudaStream stream, const RmsNorm<Checked>& job);
Status cuda_rms_norm_backward(CudaStream stream, const RmsNormBackward<Checked>& job);
Status cuda_layer_norm(CudaStream stream, const LayerNorm<Checked>& job);
Status cuda_layer_norm_backward(CudaStream stream, const LayerNormBackward<Checked>& job);
Status cuda_rope(CudaStream stream, const Rope<Checked>& job);
Status cuda_attention(CudaStream stream, const Attention<Checked>& job);
/// Whether the kernels of attention can count its rows and columns.
template <class Job>
inline Status countable(const Job& job) {
  if (job.k.rows >> 30 == 0 && job.q.cols >> 30 == 0) return {};
  return {Status::invalid, "attention over more than 2^30 rows or columns"};
}
/// `t` is device memory: a float for each row of q and head.
Status cuda_attention_backward(CudaStream stream, const AttentionBackward<Checked>& job, float* t);
/// t = sum(dout out) of each row and head.
Status cuda_attention_dots(CudaStream stream, const View<const float>& out,
                           const View<const float>& dout, std::uint32_t heads, float* t);
/// Attention whose products are of limbs; `room` is device memory of so many bytes, aligned to 16.
std::uint64_t room_bytes(const Attention<Checked>& job);
std::uint64_t room_bytes(const AttentionBackward<Checked>& job);
Status cuda_attention_limbs(CudaStream stream, const Attention<Checked>& job, std::byte* room);
Status cuda_attention_backward_limbs(CudaStream stream, const AttentionBackward<Checked>& job,
                                     std::byte* room);
Status cuda_activate(CudaStream stream, const Activate<Checked>& job);
Status cuda_activate_backward(CudaStream stream, const ActivateBackward<Checked>& job);
Status cuda_cross_entropy(CudaStream stream, const CrossEntropy<Checked>& job);
/// Bytes of `scratch`, aligned to 64, which is in use until the draw is done.
std::uint64_t draw_bytes(CudaStream stream, const Draw<Checked>& job);
Status cuda_draw(CudaStream stream, const Draw<Checked>& job, Scratch scratch);
Status cuda_add(CudaStream stream, const Add<Checked>& job);
Status cuda_sum_rows(CudaStream stream, const SumRows<Checked>& job);
Status cuda_narrow(CudaStream stream, const Narrow<Checked>& job);
/// y is x rounded to bf16, in fp32.
Status cuda_round(CudaStream stream, const View<const float>& x, const View<float>& y);
Status cuda_scale(CudaStream stream, const Scale<Checked>& job);
Status cuda_zero(CudaStream stream, const Zero<Checked>& job);
Status cuda_scatter_rows(CudaStream stream, const ScatterRows<Checked>& job);
Status cuda_dropout(CudaStream stream, const Dropout<Checked>& job);
Status cuda_keep_largest(CudaStream stream, const KeepLargest<Checked>& job);
Status cuda_rotate(CudaStream stream, const Rotate<Checked>& job);
Status cuda_quantise_rotated(CudaStream stream, const QuantiseRotated<Checked>& job);
Status cuda_expand_nf4(CudaStream stream, const ExpandNf4<Checked>& job);
Status cuda_adam(CudaStream stream, const Adam<Checked>& job);
/// The 128 lanes of sum128 over the squares of x's elements, before their tree; `lanes` is device
/// memory.
Status cuda_square_lanes(CudaStream stream, const View<const float>& x, float* lanes);

/// All of them as an engine, whose contexts must be CudaContexts.
const NetworkEngine& cuda_network();

}  // namespace VOLT_ISA
}  // namespace volt::kernels
