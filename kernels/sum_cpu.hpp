// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "operands.hpp"

/// sum128 of the contract (section 3), for what is compiled once per instruction set: its lanes are
/// side by side, so that vectors hold them.
namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr std::uint64_t sum_lanes = 128;

template <class T>
VOLT_EXACT T* row_of(const View<T>& view, std::uint64_t row) {
  return view.data + row * view.stride;
}

VOLT_EXACT float folded(float* lane) {
  for (std::uint64_t distance = sum_lanes / 2; distance != 0; distance /= 2) {
    for (std::uint64_t i = 0; i < distance; ++i) lane[i] = lane[i] + lane[i + distance];
  }
  return lane[0];
}

/// Of elements i < count: add(i, lane) is what the lane becomes.
template <class Add>
__attribute__((always_inline)) static inline float sum_of(std::uint64_t count, Add add) {
  alignas(64) float lane[sum_lanes] = {};
  std::uint64_t i = 0;
  for (; i + sum_lanes <= count; i += sum_lanes) {
    for (std::uint64_t l = 0; l < sum_lanes; ++l) lane[l] = add(i + l, lane[l]);
  }
  for (std::uint64_t l = 0; i + l < count; ++l) lane[l] = add(i + l, lane[l]);
  return folded(lane);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
