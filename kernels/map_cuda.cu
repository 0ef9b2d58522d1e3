// SPDX-License-Identifier: Apache-2.0

#include "device_cuda.cuh"
#include "operations_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

template <class In, class Out, Out (*function)(In)>
struct Map {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr std::uint64_t per_block = 4 * threads;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t first = block_index() * per_block + thread_index();
    for (std::uint64_t i = first; i < count && i < first + per_block; i += threads) {
      y[i] = function(x[i]);
    }
  }

  const In* x;
  Out* y;
  std::uint64_t count;
};

template <class In, class Out, Out (*function)(In)>
Status map_with(CudaStream stream, const MapJob& job) {
  using Kernel = Map<In, Out, function>;
  return launch(stream, (job.count - 1) / Kernel::per_block + 1,
                Kernel{static_cast<const In*>(job.x), static_cast<Out*>(job.y), job.count});
}

}  // namespace

Status cuda_map(CudaStream stream, const MapJob& job) {
  switch (job.function) {
    case Function::exp:
      return map_with<float, float, exp>(stream, job);
    case Function::exp2:
      return map_with<float, float, exp2>(stream, job);
    case Function::log:
      return map_with<float, float, log>(stream, job);
    case Function::log1p:
      return map_with<float, float, log1p>(stream, job);
    case Function::tanh:
      return map_with<float, float, tanh>(stream, job);
    case Function::sigmoid:
      return map_with<float, float, sigmoid>(stream, job);
    case Function::erf:
      return map_with<float, float, erf>(stream, job);
    case Function::rsqrt:
      return map_with<float, float, rsqrt>(stream, job);
    case Function::sin_turns:
      return map_with<std::uint64_t, float, sin_turns>(stream, job);
    case Function::cos_turns:
      return map_with<std::uint64_t, float, cos_turns>(stream, job);
    case Function::to_bf16:
      return map_with<float, std::uint16_t, to_bf16>(stream, job);
    case Function::to_fp16:
      return map_with<float, std::uint16_t, to_fp16>(stream, job);
    case Function::from_bf16:
      return map_with<std::uint16_t, float, from_bf16>(stream, job);
    case Function::from_fp16:
      return map_with<std::uint16_t, float, from_fp16>(stream, job);
  }
  return {Status::invalid, "no such function"};
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
