// SPDX-License-Identifier: Apache-2.0

#include "operations_cuda.hpp"
#include "words_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

constexpr std::uint32_t lanes = 32, warps = 8;

VOLT_DEVICE std::uint32_t largest(std::uint32_t a, std::uint32_t b) { return a > b ? a : b; }

// Groups along the rows of x: one a warp, four neighbours a lane.
struct QuantiseRows {
  static constexpr unsigned threads = lanes * warps, resident = 4;
  static constexpr std::uint32_t each = group / lanes;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t row =
        std::uint64_t{block_index() / groups} * warps + thread_index() / lanes;
    const std::uint64_t g = block_index() % groups;
    if (row >= job.x.rows) return;
    const std::uint64_t first = g * group + thread_index() % lanes * each;
    const std::uint32_t count = first >= job.x.cols         ? 0
                                : job.x.cols - first < each ? job.x.cols - first
                                                            : each;
    const float* const from = job.x.data + row * job.x.stride + first;
    Words x = {};
    if (count == each && is_aligned(from, 16)) {
      x = load_16(from);
    } else {
      for (std::uint32_t i = 0; i < count; ++i) x.word[i] = float_bits(from[i]);
    }
    std::uint32_t amax = 0;
    for (std::uint32_t word : x.word) amax = largest(amax, magnitude_bits(bits_float(word)));
    for (std::uint32_t mask = lanes / 2; mask != 0; mask /= 2) {
      amax = largest(amax, shuffle_xor(amax, mask));
    }
    const GroupScale scale = group_scale(amax);
    store(job.q.data + row * job.q.stride + first, count, x, scale);
    if (thread_index() % lanes == 0) {
      job.scales.data[row * job.scales.stride + g] = scale.scale;
    }
  }

  VOLT_DEVICE static void store(std::int8_t* to, std::uint32_t count, const Words& x,
                                GroupScale scale) {
    std::int8_t q[each];
    for (std::uint32_t i = 0; i < each; ++i) q[i] = quantise_one(bits_float(x.word[i]), scale);
    if (count == each && is_aligned(to, each)) {
      __builtin_memcpy(__builtin_assume_aligned(to, each), q, each);
    } else {
      for (std::uint32_t i = 0; i < each; ++i) {
        if (i < count) to[i] = q[i];
      }
    }
  }

  QuantiseJob job;
  std::uint32_t groups;  // of a row
};

// Groups down the columns: 32 of them, side by side, a block; a thread has every 8th row of one.
struct QuantiseColumns {
  static constexpr unsigned threads = lanes * warps, resident = 3;
  struct Shared {
    std::uint32_t amax[warps][lanes];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint32_t lane = thread_index() % lanes, warp = thread_index() / lanes;
    const std::uint64_t g = block_index() / strips;
    const std::uint64_t col = std::uint64_t{block_index() % strips} * lanes + lane;
    const std::uint64_t row = g * group + warp;
    constexpr int count = group / warps;
    float value[count];
    std::uint32_t amax = 0;
    for (int i = 0; i < count; ++i) {
      const std::uint64_t r = row + warps * i;
      const bool inside = r < job.x.rows && col < job.x.cols;
      value[i] = inside ? job.x.data[r * job.x.stride + col] : 0.0f;
      amax = largest(amax, magnitude_bits(value[i]));
    }
    shared.amax[warp][lane] = amax;
    sync_block();
    if (col >= job.x.cols) return;
    for (std::uint32_t w = 0; w < warps; ++w) amax = largest(amax, shared.amax[w][lane]);
    const GroupScale scale = group_scale(amax);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t r = row + warps * i;
      if (r < job.x.rows) job.q.data[r * job.q.stride + col] = quantise_one(value[i], scale);
    }
    if (warp == 0) job.scales.data[g * job.scales.stride + col] = scale.scale;
  }

  QuantiseJob job;
  std::uint32_t strips;  // of 32 columns
};

}  // namespace

Status cuda_quantise(CudaStream stream, const QuantiseJob& job) {
  if (job.axis == Quantised::along_cols) {
    return launch(stream, ((job.x.rows - 1) / warps + 1) * job.scales.cols,
                  QuantiseRows{job, static_cast<std::uint32_t>(job.scales.cols)});
  }
  const std::uint64_t strips = (job.x.cols - 1) / lanes + 1;
  return launch(stream, job.scales.rows * strips,
                QuantiseColumns{job, static_cast<std::uint32_t>(strips)});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
