// SPDX-License-Identifier: Apache-2.0

// Chains down a matrix: one for each column, or one for each lane of a sum over all of it. There
// are far fewer of them than threads, and each must go in order, so that a block's threads read
// ahead of the few that add.

#include "chains_cuda.hpp"
#include "lanes_cuda.cuh"
#include "network_cuda.hpp"
#include "network_functions.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

// A chain's next factors: acc = fmaf(a, b, acc).
struct Factors {
  float a, b;
};

/// `width` chains a block, side by side, through tiles of `steps` elements each. Source::at(chain,
/// step) gives the factors; steps() and chains() say how many; begin(chain) and end(chain, acc)
/// take the accumulator and give it back.
template <class Source, std::uint32_t width>
struct Chains {
  static constexpr unsigned threads = 256, resident = 2;
  static constexpr std::uint32_t steps = 2048 / width, apart = threads / width,
                                 each = steps / apart;
  struct Shared {
    Factors tile[2][steps][width];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint32_t lane = thread_index() % width, first = thread_index() / width;
    const std::uint64_t chain = std::uint64_t{block_index()} * width + lane;
    const std::uint64_t count = source.steps();
    const bool inside = chain < source.chains(), adds = inside && first == 0;
    float acc = adds ? source.begin(chain) : 0.0f;
    Factors ahead[each] = {};
    load(ahead, chain, inside ? first : count, count);
    std::uint32_t turn = 0;
    for (std::uint64_t step = 0; step < count; step += steps, turn ^= 1) {
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < each; ++i) {
        shared.tile[turn][first + i * apart][lane] = ahead[i];
      }
      sync_block();  // who adds has then left the other half, too
      load(ahead, chain, inside ? step + steps + first : count, count);
      if (!adds) continue;
      const std::uint64_t left = count - step;
      if (left >= steps) {
        VOLT_UNROLL
        for (std::uint32_t i = 0; i < steps; ++i) add(acc, shared.tile[turn][i][lane]);
      } else {
        for (std::uint32_t i = 0; i < left; ++i) add(acc, shared.tile[turn][i][lane]);
      }
    }
    if (adds) source.end(chain, acc);
  }

  VOLT_DEVICE static void add(float& acc, Factors next) { acc = fused(next.a, next.b, acc); }

  VOLT_DEVICE void load(Factors (&to)[each], std::uint64_t chain, std::uint64_t step,
                        std::uint64_t count) const {
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < each; ++i) {
      if (step + i * apart < count) to[i] = source.at(chain, step + i * apart);
    }
  }

  Source source;
};

/// A column's chain over the rows, into y. Terms::at(row, col) gives the factors: 1 is a factor
/// that changes nothing, so that sums are such chains, too.
template <class Terms>
struct Columns {
  VOLT_DEVICE std::uint64_t steps() const { return rows; }
  VOLT_DEVICE std::uint64_t chains() const { return y.cols; }
  VOLT_DEVICE float begin(std::uint64_t col) const { return y.data[col]; }
  VOLT_DEVICE void end(std::uint64_t col, float acc) const { y.data[col] = canonical(acc); }
  VOLT_DEVICE Factors at(std::uint64_t col, std::uint64_t row) const { return terms.at(row, col); }

  Terms terms;
  std::uint64_t rows;
  View<float> y;
};

struct Elements {
  VOLT_DEVICE Factors at(std::uint64_t row, std::uint64_t col) const {
    return {x.data[row * x.stride + col], 1.0f};
  }
  View<const float> x;
};

struct RmsWeights {
  VOLT_DEVICE Factors at(std::uint64_t row, std::uint64_t col) const {
    const std::uint64_t heads = job.r.cols;
    return {head_of(job.dy, row, heads)[col],
            head_of(job.x, row, heads)[col] * *head_of(job.r, row, heads)};
  }
  RmsNormBackward<Checked> job;
};

struct LayerWeights {
  VOLT_DEVICE Factors at(std::uint64_t row, std::uint64_t col) const {
    const float* const kept = job.kept.data + row * job.kept.stride;
    return {job.dy.data[row * job.dy.stride + col],
            (job.x.data[row * job.x.stride + col] - kept[0]) * kept[1]};
  }
  LayerNormBackward<Checked> job;
};

template <class Terms>
Status down_columns(CudaStream stream, const Terms& terms, std::uint64_t rows,
                    const View<float>& y) {
  constexpr std::uint32_t width = 32;
  return launch(stream, (y.cols - 1) / width + 1, Chains<Columns<Terms>, width>{{terms, rows, y}});
}

/// The lanes of sum128 over the elements of a matrix, row after row.
struct SquareLanes {
  VOLT_DEVICE std::uint64_t steps() const { return (count - 1) / lanes_of_sum + 1; }
  VOLT_DEVICE std::uint64_t chains() const { return lanes_of_sum; }
  VOLT_DEVICE float begin(std::uint64_t) const { return 0.0f; }
  VOLT_DEVICE void end(std::uint64_t lane, float acc) const { lanes[lane] = acc; }
  VOLT_DEVICE Factors at(std::uint64_t lane, std::uint64_t step) const {
    const std::uint64_t i = step * lanes_of_sum + lane;
    if (i >= count) return {0.0f, 0.0f};  // + 0 changes nothing: no lane is ever -0
    const std::uint64_t row = x.cols == count ? 0 : i / x.cols;
    const float value = x.data[row * x.stride + (i - row * x.cols)];
    return {value, value};
  }

  View<const float> x;
  std::uint64_t count;
  float* lanes;
};

}  // namespace

Status cuda_sum_rows(CudaStream stream, const SumRows<Checked>& job) {
  return down_columns(stream, Elements{job.x}, job.x.rows, job.y);
}

Status cuda_chain_weights(CudaStream stream, const RmsNormBackward<Checked>& job) {
  return down_columns(stream, RmsWeights{job}, job.x.rows * job.r.cols, job.dw);
}

Status cuda_chain_weights(CudaStream stream, const LayerNormBackward<Checked>& job) {
  const Status status = down_columns(stream, LayerWeights{job}, job.x.rows, job.dw);
  if (status.code != Status::ok) return status;
  return down_columns(stream, Elements{job.dy}, job.x.rows, job.db);
}

Status cuda_square_lanes(CudaStream stream, const View<const float>& x, float* lanes) {
  constexpr std::uint32_t width = 8;  // 32 bytes side by side, what memory gives at least
  View<const float> all = x;
  const std::uint64_t count = x.rows * x.cols;
  if (x.stride == x.cols) all = {x.data, 1, count, count};
  return launch(stream, lanes_of_sum / width, Chains<SquareLanes, width>{{all, count, lanes}});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
