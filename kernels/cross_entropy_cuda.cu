// SPDX-License-Identifier: Apache-2.0

// Cross-entropy, a block a row of logits, which is read three times: what e comes to is not kept,
// since a vocabulary's row is more than a block has room for.

#include "lanes_cuda.cuh"
#include "network_cuda.hpp"
#include "network_functions.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

struct Losses {
  static constexpr unsigned threads = lanes_of_sum, resident = 8;
  using Shared = Team<threads>::Shared;

  VOLT_DEVICE void operator()(Shared& shared) const {
    float* const s = job.logits.data + block_index() * job.logits.stride;
    float* const told = job.told.data + block_index() * job.told.stride;
    const std::uint32_t target = job.targets.data[block_index() * job.targets.stride];
    const std::uint64_t n = job.logits.cols;
    if (target == no_target) {
      for (std::uint64_t j = thread_index(); j < n; j += threads) s[j] = 0.0f;
      if (thread_index() < 3) told[thread_index()] = 0.0f;
      return;
    }
    const float m = greatest(shared, s, n);
    float e_lane = 0.0f, entropy_lane = 0.0f;
    for (std::uint64_t j = thread_index(); j < n; j += threads) {
      const float apart = s[j] - m, e = exp(apart);
      e_lane = e_lane + e;
      entropy_lane = weighted(e, apart, entropy_lane);
    }
    const float at_target = s[target];  // before the next barrier, after which it may change
    const float l = Team<threads>::tree(shared, e_lane);
    const float entropy = Team<threads>::tree(shared, entropy_lane);
    const float inverse = 1.0f / l;
    if (thread_index() == 0) {
      told[0] = canonical(log(l) + (m - at_target));
      told[1] = canonical(inverse);
      told[2] = canonical(fused(-entropy, inverse, log(l)));
    }
    for (std::uint64_t j = thread_index(); j < n; j += threads) {
      const float p = exp(s[j] - m) * inverse;
      s[j] = canonical(j == target ? p - 1.0f : p);
    }
  }

  VOLT_DEVICE static float greatest(Shared& shared, const float* s, std::uint64_t n) {
    float m = bits_float(infinity_bits | 0x80000000u);
    for (std::uint64_t j = thread_index(); j < n; j += threads) m = largest(s[j], m);
    shared.lane[thread_index()] = m;
    sync_block();
    for (std::uint32_t i = 0; i < threads; ++i) m = largest(shared.lane[i], m);
    sync_block();
    return m + 0.0f;
  }

  CrossEntropy<Checked> job;
};

}  // namespace

Status cuda_cross_entropy(CudaStream stream, const CrossEntropy<Checked>& job) {
  return launch(stream, job.logits.rows, Losses{job});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
