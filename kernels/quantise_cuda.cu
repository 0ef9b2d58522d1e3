// SPDX-License-Identifier: Apache-2.0

#include "operations_cuda.hpp"
#include "words_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

constexpr std::uint32_t lanes = 32, warps = 8;

VOLT_DEVICE std::uint32_t largest(std::uint32_t a, std::uint32_t b) { return a > b ? a : b; }

constexpr std::uint32_t each = group / lanes;  // neighbours of a row

VOLT_DEVICE void store(std::int8_t* to, std::uint32_t count, const std::int8_t (&q)[each]) {
  if (count == each && is_aligned(to, each)) {
    __builtin_memcpy(__builtin_assume_aligned(to, each), q, each);
  } else {
    for (std::uint32_t i = 0; i < each; ++i) {
      if (i < count) to[i] = q[i];
    }
  }
}

// What is made of elements: int8, or two limbs. Neighbours of a row, or one.
struct Int8 {
  static constexpr float most = most_i8;
  VOLT_DEVICE void put(std::uint64_t row, std::uint64_t col, std::uint32_t count,
                       const std::int32_t (&q)[each]) const {
    std::int8_t bytes[each];
    for (std::uint32_t i = 0; i < each; ++i) bytes[i] = static_cast<std::int8_t>(q[i]);
    store(job.q.data + row * job.q.stride + col, count, bytes);
  }
  VOLT_DEVICE void put(std::uint64_t row, std::uint64_t col, std::int32_t q) const {
    job.q.data[row * job.q.stride + col] = static_cast<std::int8_t>(q);
  }
  QuantiseJob job;
};

struct TwoLimbs {
  static constexpr float most = most_limbs;
  VOLT_DEVICE void put(std::uint64_t row, std::uint64_t col, std::uint32_t count,
                       const std::int32_t (&q)[each]) const {
    std::int8_t high[each], low[each];
    for (std::uint32_t i = 0; i < each; ++i) {
      const Limbs limbs = limbs_of(q[i]);
      high[i] = limbs.high, low[i] = limbs.low;
    }
    store(job.high.data + row * job.high.stride + col, count, high);
    store(job.low.data + row * job.low.stride + col, count, low);
  }
  VOLT_DEVICE void put(std::uint64_t row, std::uint64_t col, std::int32_t q) const {
    const Limbs limbs = limbs_of(q);
    job.high.data[row * job.high.stride + col] = limbs.high;
    job.low.data[row * job.low.stride + col] = limbs.low;
  }
  QuantiseLimbsJob job;
};

// Groups along the rows of x: one a warp, four neighbours a lane.
template <class Made>
struct QuantiseRows {
  static constexpr unsigned threads = lanes * warps, resident = 4;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const auto& job = made.job;
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
    const GroupScale scale = group_scale(amax, Made::most);
    std::int32_t q[each];
    for (std::uint32_t i = 0; i < each; ++i) q[i] = quantise_whole(bits_float(x.word[i]), scale);
    made.put(row, first, count, q);
    if (thread_index() % lanes == 0) {
      job.scales.data[row * job.scales.stride + g] = scale.scale;
    }
  }

  Made made;
  std::uint32_t groups;  // of a row
};

// Groups down the columns: 32 of them, side by side, a block; a thread has every 8th row of one.
template <class Made>
struct QuantiseColumns {
  static constexpr unsigned threads = lanes * warps, resident = 3;
  struct Shared {
    std::uint32_t amax[warps][lanes];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const auto& job = made.job;
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
    const GroupScale scale = group_scale(amax, Made::most);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t r = row + warps * i;
      if (r < job.x.rows) made.put(r, col, quantise_whole(value[i], scale));
    }
    if (warp == 0) job.scales.data[g * job.scales.stride + col] = scale.scale;
  }

  Made made;
  std::uint32_t strips;  // of 32 columns
};

template <class Made>
Status start(CudaStream stream, const Made& made) {
  const auto& job = made.job;
  if (job.axis == Quantised::along_cols) {
    return launch(stream, ((job.x.rows - 1) / warps + 1) * job.scales.cols,
                  QuantiseRows<Made>{made, static_cast<std::uint32_t>(job.scales.cols)});
  }
  const std::uint64_t strips = (job.x.cols - 1) / lanes + 1;
  return launch(stream, job.scales.rows * strips,
                QuantiseColumns<Made>{made, static_cast<std::uint32_t>(strips)});
}

}  // namespace

Status cuda_quantise(CudaStream stream, const QuantiseJob& job) { return start(stream, Int8{job}); }
Status cuda_quantise_limbs(CudaStream stream, const QuantiseLimbsJob& job) {
  return start(stream, TwoLimbs{job});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
