// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "network_engine.hpp"
#include "network_functions.hpp"

/// What the parts of network.hpp's gold standard share.
namespace volt::kernels {
inline namespace VOLT_ISA {

/// sum128 of add(i, lane) over i < count: `add` returns what the lane is then.
template <class Add>
static inline float sum(std::uint64_t count, Add add) {
  float lanes[128] = {};
  for (std::uint64_t i = 0; i < count; ++i) lanes[i % 128] = add(i, lanes[i % 128]);
  for (int distance = 64; distance != 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) lanes[i] = lanes[i] + lanes[i + distance];
  }
  return lanes[0];
}

template <class T>
static inline T* row(const View<T>& view, std::uint64_t i) {
  return view.data + i * view.stride;
}

}  // namespace VOLT_ISA

// The rows of NetworkEngine with the same names.
bool reference_attention(Context&, const Attention<Checked>& job);
bool reference_attention_backward(Context&, const AttentionBackward<Checked>& job);

}  // namespace volt::kernels
