// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operands.hpp"
#include "vector_cpu.hpp"

/// sum128 of the contract (section 3), for what is compiled once per instruction set: its lanes are
/// side by side, so that vectors hold them.
namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr int sum_lanes = 128;

template <class T>
VOLT_EXACT T* row_of(const View<T>& view, std::uint64_t row) {
  return view.data + row * view.stride;
}

template <int distance>
VOLT_VECTOR Floats folded(Floats v) {
  if constexpr (distance == 0) {
    return v;
  } else {
    return folded<distance / 2>(v + swapped<distance>(v));
  }
}

/// The sum of all lanes.
VOLT_VECTOR float folded(const float* lane) {
  Floats v[sum_lanes / lanes];
  for (int i = 0; i < sum_lanes / lanes; ++i) v[i] = load<Floats>(lane + i * lanes);
  for (int distance = sum_lanes / lanes / 2; distance != 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) v[i] = v[i] + v[i + distance];
  }
  return folded<lanes / 2>(v[0])[0];
}

/// All lanes +0. Said like this, gcc does not take the instruction for long strings.
VOLT_VECTOR void clear(float (&lane)[sum_lanes]) {
  for (int i = 0; i < sum_lanes; i += lanes) store(lane + i, Floats{});
}

/// Of elements i < count: add(i, lane) is what the lane becomes.
template <class Add>
VOLT_VECTOR float sum_of(std::uint64_t count, Add add) {
  alignas(64) float lane[sum_lanes];
  clear(lane);
  std::uint64_t i = 0;
  for (; i + sum_lanes <= count; i += sum_lanes) {
    for (int l = 0; l < sum_lanes; ++l) lane[l] = add(i + l, lane[l]);
  }
  float* to = lane;
  for (; i + lanes <= count; i += lanes, to += lanes) {
    for (int l = 0; l < lanes; ++l) to[l] = add(i + l, to[l]);
  }
  for (; i < count; ++i, ++to) *to = add(i, *to);
  return folded(lane);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
