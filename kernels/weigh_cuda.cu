// SPDX-License-Identifier: Apache-2.0

#include "device_cuda.cuh"
#include "operations_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

__extension__ using Wide = unsigned __int128;

/// A block has a few rows, so that weights are read as few times less often; its threads share the
/// columns.
struct Weigh {
  static constexpr unsigned threads = 256, resident = 2, rows = 4;
  static constexpr unsigned sums = rows * weight_vectors;
  struct Shared {
    std::uint64_t low[threads / 32][sums], high[threads / 32][sums];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint64_t row = std::uint64_t{block_index()} * rows;
    Wide sum[sums] = {};
    for (std::uint64_t c = thread_index(); c < job.x.cols; c += threads) {
      const std::uint64_t* const weight = job.weights.data + c * job.weights.stride;
      VOLT_UNROLL
      for (unsigned r = 0; r < rows; ++r) {
        if (row + r >= job.x.rows) break;
        const std::int64_t x = job.x.data[(row + r) * job.x.stride + c];
        VOLT_UNROLL
        for (unsigned v = 0; v < weight_vectors; ++v) {
          sum[r * weight_vectors + v] += static_cast<Wide>(x) * weight[v];
        }
      }
    }
    const std::uint32_t warp = thread_index() / 32;
    VOLT_UNROLL
    for (unsigned i = 0; i < sums; ++i) {
      for (std::uint32_t mask = 16; mask != 0; mask /= 2) {
        const std::uint64_t high = shuffle_xor(static_cast<std::uint64_t>(sum[i] >> 64), mask);
        sum[i] +=
            static_cast<Wide>(high) << 64 | shuffle_xor(static_cast<std::uint64_t>(sum[i]), mask);
      }
      if (thread_index() % 32 == 0) {
        shared.low[warp][i] = static_cast<std::uint64_t>(sum[i]);
        shared.high[warp][i] = static_cast<std::uint64_t>(sum[i] >> 64);
      }
    }
    sync_block();
    const std::uint32_t i = thread_index();
    if (i >= sums || row + i / weight_vectors >= job.x.rows) return;
    Wide all = 0;
    for (unsigned w = 0; w < threads / 32; ++w) {
      all += static_cast<Wide>(shared.high[w][i]) << 64 | shared.low[w][i];
    }
    std::uint64_t* const to =
        job.sums.data + (row + i / weight_vectors) * job.sums.stride + 2 * (i % weight_vectors);
    to[0] = static_cast<std::uint64_t>(all);
    to[1] = static_cast<std::uint64_t>(all >> 64);
  }

  Weighing job;
};

}  // namespace

Status cuda_weigh(CudaStream stream, const Weighing& job) {
  return launch(stream, (job.x.rows - 1) / Weigh::rows + 1, Weigh{job});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
