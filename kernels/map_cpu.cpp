// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules. The
// functions have no branches: the compiler makes vectors of each loop.

#include "map_cpu.hpp"

#include "backend.hpp"
#include "exact.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// The function is a template argument, so that it is inlined into its loop.
template <class In, class Out, Out (*function)(In)>
static void each(const void* x, void* y, std::uint64_t first, std::uint64_t count) {
  const In* __restrict from = static_cast<const In*>(x) + first;
  Out* __restrict to = static_cast<Out*>(y) + first;
  for (std::uint64_t i = 0; i < count; ++i) to[i] = function(from[i]);
}

void map(Function function, const void* x, void* y, std::uint64_t first, std::uint64_t count) {
  switch (function) {
    case Function::exp:
      return each<float, float, exp>(x, y, first, count);
    case Function::exp2:
      return each<float, float, exp2>(x, y, first, count);
    case Function::log:
      return each<float, float, log>(x, y, first, count);
    case Function::log1p:
      return each<float, float, log1p>(x, y, first, count);
    case Function::tanh:
      return each<float, float, tanh>(x, y, first, count);
    case Function::sigmoid:
      return each<float, float, sigmoid>(x, y, first, count);
    case Function::erf:
      return each<float, float, erf>(x, y, first, count);
    case Function::rsqrt:
      return each<float, float, rsqrt>(x, y, first, count);
    case Function::sin_turns:
      return each<std::uint64_t, float, sin_turns>(x, y, first, count);
    case Function::cos_turns:
      return each<std::uint64_t, float, cos_turns>(x, y, first, count);
    case Function::to_bf16:
      return each<float, std::uint16_t, to_bf16>(x, y, first, count);
    case Function::to_fp16:
      return each<float, std::uint16_t, to_fp16>(x, y, first, count);
    case Function::from_bf16:
      return each<std::uint16_t, float, from_bf16>(x, y, first, count);
    case Function::from_fp16:
      return each<std::uint16_t, float, from_fp16>(x, y, first, count);
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
