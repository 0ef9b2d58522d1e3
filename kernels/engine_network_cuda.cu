// SPDX-License-Identifier: Apache-2.0

// The operations of networks as a NetworkEngine: with the memory that they need besides, and with
// what has to come back.

#include "attention_rounded.hpp"
#include "context_cuda.hpp"
#include "libraries_cuda.hpp"
#include "network_cuda.hpp"
#include "network_engine.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

template <class Job, Status (*operation)(CudaStream, const Job&)>
void perform(Context& context, const Job& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(operation(cuda.stream, job));
}

std::byte* need_bytes(CudaContext& cuda, std::uint64_t bytes) {
  std::byte* const room = cuda.room(bytes);
  if (room == nullptr) {
    cuda.keep({Status::out_of_memory, "no memory left for what the operation needs besides"});
  }
  return room;
}

float* need(CudaContext& cuda, std::uint64_t floats) {
  return reinterpret_cast<float*>(need_bytes(cuda, floats * sizeof(float)));
}

// The job with its operands rounded to bf16, as copies in `room`.
template <class Job>
Job rounded(CudaContext& cuda, Job job, float* room) {
  const auto round = [&](View<const float>& x) {
    const View<float> y = {room, x.rows, x.cols, x.cols};
    cuda.keep(cuda_round(cuda.stream, x, y));
    room += x.rows * x.cols;
    x = {y.data, y.rows, y.cols, y.stride};
  };
  round(job.q);
  round(job.k);
  round(job.v);
  if constexpr (requires { job.dout; }) round(job.dout);
  return job;
}

// What is wrong is kept by all of these.
bool attention(Context& context, const Attention<Checked>& job) {
  CudaContext& cuda = cuda_context(context);
  if (job.products == Products::limbs) {
    if (std::byte* const room = need_bytes(cuda, room_bytes(job))) {
      cuda.keep(cuda_attention_limbs(cuda.stream, job, room));
    }
  } else if (job.products == Products::chains) {
    cuda.keep(cuda_attention(cuda.stream, job));
  } else if (!attend_by_library(cuda, job)) {
    if (float* const room = need(cuda, rounded_elements(job))) {
      cuda.keep(cuda_attention(cuda.stream, rounded(cuda, job, room)));
    }
  }
  return true;
}

bool attention_backward(Context& context, const AttentionBackward<Checked>& job) {
  CudaContext& cuda = cuda_context(context);
  const std::uint64_t dots = job.q.rows * job.heads;
  if (job.products == Products::limbs) {
    if (std::byte* const room = need_bytes(cuda, room_bytes(job))) {
      cuda.keep(cuda_attention_backward_limbs(cuda.stream, job, room));
    }
  } else if (job.products == Products::chains) {
    if (float* const t = need(cuda, dots)) {
      cuda.keep(cuda_attention_backward(cuda.stream, job, t));
    }
  } else if (!attend_by_library(cuda, job)) {
    if (float* const room = need(cuda, rounded_elements(job) + dots)) {
      float* const t = room + rounded_elements(job);
      cuda.keep(cuda_attention_backward(cuda.stream, rounded(cuda, job, room), t));
    }
  }
  return true;
}

bool draw(Context& context, const Draw<Checked>& job) {
  CudaContext& cuda = cuda_context(context);
  const std::uint64_t bytes = draw_bytes(cuda.stream, job);
  std::byte* const room = bytes == 0 ? nullptr : need_bytes(cuda, bytes);
  if (bytes == 0 || room != nullptr) cuda.keep(cuda_draw(cuda.stream, job, {room, bytes}));
  return true;
}

float square_sum(Context& context, const View<const float>& x) {
  CudaContext& cuda = cuda_context(context);
  float lanes[128] = {};
  float* const room = need(cuda, 128);
  if (room == nullptr) return 0.0f;
  cuda.keep(cuda_square_lanes(cuda.stream, x, room));
  cuda.engine.store->download(cuda, reinterpret_cast<std::byte*>(room), lanes, sizeof lanes);
  for (int distance = 64; distance != 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) lanes[i] = lanes[i] + lanes[i + distance];
  }
  return canonical(lanes[0]);
}

}  // namespace

const NetworkEngine& cuda_network() {
  static const NetworkEngine engine = {
      perform<RmsNorm<Checked>, cuda_rms_norm>,
      perform<RmsNormBackward<Checked>, cuda_rms_norm_backward>,
      perform<LayerNorm<Checked>, cuda_layer_norm>,
      perform<LayerNormBackward<Checked>, cuda_layer_norm_backward>,
      perform<Rope<Checked>, cuda_rope>,
      attention,
      attention_backward,
      perform<Activate<Checked>, cuda_activate>,
      perform<ActivateBackward<Checked>, cuda_activate_backward>,
      perform<CrossEntropy<Checked>, cuda_cross_entropy>,
      draw,
      perform<Add<Checked>, cuda_add>,
      perform<SumRows<Checked>, cuda_sum_rows>,
      perform<Narrow<Checked>, cuda_narrow>,
      perform<Scale<Checked>, cuda_scale>,
      perform<Zero<Checked>, cuda_zero>,
      perform<ScatterRows<Checked>, cuda_scatter_rows>,
      perform<Dropout<Checked>, cuda_dropout>,
      perform<KeepLargest<Checked>, cuda_keep_largest>,
      perform<Rotate<Checked>, cuda_rotate>,
      perform<QuantiseRotated<Checked>, cuda_quantise_rotated>,
      perform<ExpandNf4<Checked>, cuda_expand_nf4>,
      perform<Adam<Checked>, cuda_adam>,
      square_sum,
  };
  return engine;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
