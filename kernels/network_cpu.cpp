// SPDX-License-Identifier: Apache-2.0

// Networks on a CPU: cuts operations into blocks for the threads.

#include "network_cpu.hpp"

#include <algorithm>

#include "ieee.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t block_elements = 1 << 14;

template <class T>
bool worth_it(const View<T>& x) {
  return x.rows * x.cols >= worth_sharing;
}

template <class T, class Work>
void in_rows(Context& context, const View<T>& x, Work work) {
  const std::uint64_t rows = std::max<std::uint64_t>(1, block_elements / x.cols);
  in_pieces(context, x.rows, rows, worth_it(x), [&](std::uint64_t first, std::uint64_t count) {
    work(Block{first, count, 0, x.cols});
  });
}

// Whole cache lines, so that threads do not take them from each other.
template <class T, class Work>
void in_columns(Context& context, const View<T>& x, Work work) {
  constexpr std::uint64_t line = 16, most = 1024;
  const std::uint64_t share = ceil_div(x.cols, 2 * context.pool.threads());
  const std::uint64_t cols = std::min(most, ceil_div(share, line) * line);
  in_pieces(context, x.cols, cols, worth_it(x), [&](std::uint64_t first, std::uint64_t count) {
    work(Block{0, x.rows, first, count});
  });
}

template <class T, class Work>
void in_blocks(Context& context, const View<T>& x, Work work) {
  if (x.cols <= block_elements) return in_rows(context, x, work);
  const std::uint64_t across = ceil_div(x.cols, block_elements);
  context.pool.each(x.rows * across, worth_it(x), [&](std::uint64_t i) {
    const std::uint64_t col = i % across * block_elements;
    work(Block{i / across, 1, col, std::min(block_elements, x.cols - col)});
  });
}

// One loop over the blocks of a job, which `cut` makes of the job's `extent`.
#define VOLT_CUT(cut, extent, loop) \
  cut(context, job.extent, [&](const Block& block) { network_loops_of(context).loop(job, block); })

void rms_norm(Context& context, const RmsNorm<Checked>& job) { VOLT_CUT(in_rows, x, rms_norm); }

void rms_norm_backward(Context& context, const RmsNormBackward<Checked>& job) {
  VOLT_CUT(in_rows, x, rms_norm_backward);
  if (job.dw.data != nullptr) VOLT_CUT(in_columns, w, rms_norm_weights);
}

void layer_norm(Context& context, const LayerNorm<Checked>& job) {
  VOLT_CUT(in_rows, x, layer_norm);
}

void layer_norm_backward(Context& context, const LayerNormBackward<Checked>& job) {
  VOLT_CUT(in_rows, x, layer_norm_backward);
  if (job.dw.data != nullptr) VOLT_CUT(in_columns, x, layer_norm_weights);
}

void rope(Context& context, const Rope<Checked>& job) { VOLT_CUT(in_rows, x, rope); }

void activate(Context& context, const Activate<Checked>& job) { VOLT_CUT(in_blocks, x, activate); }

void activate_backward(Context& context, const ActivateBackward<Checked>& job) {
  VOLT_CUT(in_blocks, x, activate_backward);
}

void cross_entropy(Context& context, const CrossEntropy<Checked>& job) {
  VOLT_CUT(in_rows, logits, cross_entropy);
}

void add(Context& context, const Add<Checked>& job) { VOLT_CUT(in_blocks, y, add); }

void sum_rows(Context& context, const SumRows<Checked>& job) { VOLT_CUT(in_columns, x, sum_rows); }

void zero(Context& context, const Zero<Checked>& job) {
  in_blocks(context, job.x, [&](const Block& block) {
    for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) {
      std::fill_n(job.x.data + i * job.x.stride + block.col, block.cols, 0.0f);
    }
  });
}

void narrow(Context& context, const Narrow<Checked>& job) {
  in_blocks(context, job.x, [&](const Block& block) {
    for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) {
      context.engine.loops->map(Function::to_bf16, job.x.data + i * job.x.stride,
                                job.y.data + i * job.y.stride, block.col, block.cols);
    }
  });
}

void scale(Context& context, const Scale<Checked>& job) { VOLT_CUT(in_blocks, x, scale); }

void scatter_rows(Context& context, const ScatterRows<Checked>& job) {
  VOLT_CUT(in_columns, dx, scatter_rows);
}

void dropout(Context& context, const Dropout<Checked>& job) { VOLT_CUT(in_blocks, x, dropout); }

// Columns whose counts are wanted belong to one thread each.
void keep_largest(Context& context, const KeepLargest<Checked>& job) {
  if (job.counts.data != nullptr) return VOLT_CUT(in_columns, y, keep_largest);
  VOLT_CUT(in_blocks, y, keep_largest);
}

void rotate(Context& context, const Rotate<Checked>& job) { VOLT_CUT(in_rows, x, rotate); }

void quantise_rotated(Context& context, const QuantiseRotated<Checked>& job) {
  const std::uint64_t across = job.by_rows.cols;
  context.pool.each(job.by_columns.rows * across, worth_it(job.x), [&](std::uint64_t i) {
    network_loops_of(context).quantise_rotated(job, i / across * group, i % across * group);
  });
}

void expand_nf4(Context& context, const ExpandNf4<Checked>& job) {
  VOLT_CUT(in_rows, y, expand_nf4);
}

void adam(Context& context, const Adam<Checked>& job) { VOLT_CUT(in_blocks, p, adam); }

// Threads share the lanes, each a few cache lines of every 128 elements.
float square_sum(Context& context, const View<const float>& x) {
  constexpr std::uint64_t lanes = 128, line = 16;
  const NetworkLoops& loops = network_loops_of(context);
  alignas(64) float lane[lanes] = {};
  const std::uint64_t share = ceil_div(lanes / line, context.pool.threads()) * line;
  in_pieces(
      context, lanes, worth_it(x) ? share : lanes, worth_it(x),
      [&](std::uint64_t first, std::uint64_t count) { loops.square_lanes(x, first, count, lane); });
  return canonical(loops.lanes_sum(lane));
}

}  // namespace

constinit const NetworkEngine network_cpu = {
    rms_norm,
    rms_norm_backward,
    layer_norm,
    layer_norm_backward,
    rope,
    cpu_attention,
    cpu_attention_backward,
    activate,
    activate_backward,
    cross_entropy,
    cpu_draw,
    add,
    sum_rows,
    narrow,
    scale,
    zero,
    scatter_rows,
    dropout,
    keep_largest,
    rotate,
    quantise_rotated,
    expand_nf4,
    adam,
    square_sum,
};

}  // namespace volt::kernels
