// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "exact.hpp"
#include "host.hpp"
#include "network.hpp"

/// Attention of Products::rounded on the host.
namespace volt::kernels {

inline View<const float> round_to_bf16(const View<const float>& x, float*& room) {
  const View<const float> rounded = {room, x.rows, x.cols, x.cols};
  for (std::uint64_t i = 0; i < x.rows; ++i) {
    for (std::uint64_t j = 0; j < x.cols; ++j) {
      *room++ = from_bf16(to_bf16(x.data[i * x.stride + j]));
    }
  }
  return rounded;
}

inline std::uint64_t rounded_elements(const Attention<Checked>& job) {
  return job.q.rows * job.q.cols + 2 * job.k.rows * job.k.cols;
}
inline std::uint64_t rounded_elements(const AttentionBackward<Checked>& job) {
  return 2 * job.q.rows * job.q.cols + 2 * job.k.rows * job.k.cols;
}

/// `chains` over rounded operands. False: out of memory.
template <class Job>
bool attend_rounded(Context& context, Job job, bool (*chains)(Context&, const Job&)) {
  Memory memory;
  if (!memory.take(rounded_elements(job) * sizeof(float))) return false;
  auto* room = reinterpret_cast<float*>(memory.data());
  job.products = Products::chains;
  job.q = round_to_bf16(job.q, room);
  job.k = round_to_bf16(job.k, room);
  job.v = round_to_bf16(job.v, room);
  if constexpr (requires { job.dout; }) job.dout = round_to_bf16(job.dout, room);
  return chains(context, job);
}

}  // namespace volt::kernels
