// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"

/// sum128 of the numerics contract (section 3) by the threads that share a row: 32 with four lanes
/// each, or 128 with one. Every thread gets the sum.
namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr std::uint32_t lanes_of_sum = 128;

/// The tree, by a warp whose thread t has lanes t, t + 32, t + 64 and t + 96. Where the tree adds
/// lane l + 16 to lane l, both threads add the same two: sums do not depend on their order.
VOLT_DEVICE float tree_of_lanes(const float (&lane)[4]) {
  float sum = (lane[0] + lane[2]) + (lane[1] + lane[3]);
  for (std::uint32_t mask = 16; mask != 0; mask /= 2) sum = sum + shuffle_xor(sum, mask);
  return sum;
}

/// The threads of a row.
template <unsigned threads>
struct Team;

template <>
struct Team<32> {
  struct Shared {};

  /// Of add(i, lane), what a lane is after element i, over i < count.
  template <class Add>
  VOLT_DEVICE static float sum(Shared&, std::uint64_t count, Add add) {
    const std::uint32_t thread = thread_index() % 32;
    float lane[4] = {};
    for (std::uint64_t i = thread; i < count; i += lanes_of_sum) {
      VOLT_UNROLL
      for (std::uint32_t l = 0; l < 4; ++l) {
        if (i + 32 * l < count) lane[l] = add(i + 32 * l, lane[l]);
      }
    }
    return tree_of_lanes(lane);
  }
};

template <>
struct Team<128> {
  struct Shared {
    float lane[lanes_of_sum];
  };

  VOLT_DEVICE static float tree(Shared& shared, float own) {
    shared.lane[thread_index()] = own;
    sync_block();
    float lane[4];
    VOLT_UNROLL
    for (std::uint32_t l = 0; l < 4; ++l) lane[l] = shared.lane[thread_index() % 32 + 32 * l];
    sync_block();  // or the next sum's lanes come too early
    return tree_of_lanes(lane);
  }

  template <class Add>
  VOLT_DEVICE static float sum(Shared& shared, std::uint64_t count, Add add) {
    float lane = 0.0f;
    for (std::uint64_t i = thread_index(); i < count; i += lanes_of_sum) lane = add(i, lane);
    return tree(shared, lane);
  }
};

}  // namespace VOLT_ISA
}  // namespace volt::kernels
