// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules. The
// compiler makes vectors of each loop over columns.

#include "norms_cpu.hpp"

#include "network_functions.hpp"
#include "softmax_cpu.hpp"
#include "sum_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

static float mean_of(float total, std::uint64_t count) { return total / static_cast<float>(count); }

// ---- norms

void rms_norm(const RmsNorm<Checked>& job, const Block& block) {
  const std::uint64_t n = job.w.cols, heads = job.r.cols;
  const float* __restrict const w = job.w.data;
  for (std::uint64_t i = block.row * heads; i < (block.row + block.rows) * heads; ++i) {
    const float* __restrict const x = head_of(job.x, i, heads);
    float* __restrict const y = head_of(job.y, i, heads);
    const float squares =
        sum_of(n, [&](std::uint64_t j, float lane) { return fused(x[j], x[j], lane); });
    const float r = rsqrt(mean_of(squares, n) + job.epsilon);
    *head_of(job.r, i, heads) = r;
    for (std::uint64_t j = 0; j < n; ++j) y[j] = canonical((x[j] * r) * w[j]);
  }
}

void rms_norm_backward(const RmsNormBackward<Checked>& job, const Block& block) {
  const std::uint64_t n = job.w.cols, heads = job.r.cols;
  const float* __restrict const w = job.w.data;
  for (std::uint64_t i = block.row * heads; i < (block.row + block.rows) * heads; ++i) {
    const float* __restrict const x = head_of(job.x, i, heads);
    const float* __restrict const dy = head_of(job.dy, i, heads);
    float* __restrict const dx = head_of(job.dx, i, heads);
    const float r = *head_of(job.r, i, heads);
    const float dot =
        sum_of(n, [&](std::uint64_t j, float lane) { return fused(dy[j] * w[j], x[j], lane); });
    const float c = ((r * r) * r) * mean_of(dot, n);
    for (std::uint64_t j = 0; j < n; ++j) {
      dx[j] = canonical(dx[j] + fused(-x[j], c, (dy[j] * w[j]) * r));
    }
  }
}

void rms_norm_weights(const RmsNormBackward<Checked>& job, const Block& block) {
  float* __restrict const dw = job.dw.data;
  const std::uint64_t heads = job.r.cols;
  for (std::uint64_t i = 0; i < job.x.rows * heads; ++i) {
    const float* __restrict const x = head_of(job.x, i, heads);
    const float* __restrict const dy = head_of(job.dy, i, heads);
    const float r = *head_of(job.r, i, heads);
    for (std::uint64_t j = block.col; j < block.col + block.cols; ++j) {
      dw[j] = canonical(fused(dy[j], x[j] * r, dw[j]));
    }
  }
}

void layer_norm(const LayerNorm<Checked>& job, const Block& block) {
  const std::uint64_t n = job.x.cols;
  const float* __restrict const w = job.w.data;
  const float* __restrict const b = job.b.data;
  for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) {
    const float* __restrict const x = row_of(job.x, i);
    float* __restrict const y = row_of(job.y, i);
    const float mean =
        mean_of(sum_of(n, [&](std::uint64_t j, float lane) { return lane + x[j]; }), n);
    const float squares = sum_of(n, [&](std::uint64_t j, float lane) {
      const float apart = x[j] - mean;
      return fused(apart, apart, lane);
    });
    const float r = rsqrt(mean_of(squares, n) + job.epsilon);
    row_of(job.kept, i)[0] = canonical(mean);
    row_of(job.kept, i)[1] = r;
    for (std::uint64_t j = 0; j < n; ++j) y[j] = canonical(fused((x[j] - mean) * r, w[j], b[j]));
  }
}

void layer_norm_backward(const LayerNormBackward<Checked>& job, const Block& block) {
  const std::uint64_t n = job.x.cols;
  const float* __restrict const w = job.w.data;
  for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) {
    const float* __restrict const x = row_of(job.x, i);
    const float* __restrict const dy = row_of(job.dy, i);
    float* __restrict const dx = row_of(job.dx, i);
    const float mean = row_of(job.kept, i)[0], r = row_of(job.kept, i)[1];
    const float s =
        mean_of(sum_of(n, [&](std::uint64_t j,
                              float lane) { return fused(dy[j] * w[j], (x[j] - mean) * r, lane); }),
                n);
    const float t =
        mean_of(sum_of(n, [&](std::uint64_t j, float lane) { return lane + dy[j] * w[j]; }), n);
    for (std::uint64_t j = 0; j < n; ++j) {
      const float h = (x[j] - mean) * r;
      dx[j] = canonical(dx[j] + r * fused(-h, s, dy[j] * w[j] - t));
    }
  }
}

void layer_norm_weights(const LayerNormBackward<Checked>& job, const Block& block) {
  float* __restrict const dw = job.dw.data;
  float* __restrict const db = job.db.data;
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    const float* __restrict const x = row_of(job.x, i);
    const float* __restrict const dy = row_of(job.dy, i);
    const float mean = row_of(job.kept, i)[0], r = row_of(job.kept, i)[1];
    for (std::uint64_t j = block.col; j < block.col + block.cols; ++j) {
      dw[j] = canonical(fused(dy[j], (x[j] - mean) * r, dw[j]));
      db[j] = canonical(db[j] + dy[j]);
    }
  }
}

// ---- cross-entropy

// The logits become e.
static void soften(float* s, std::uint64_t n, float m, float& l, float& entropy) {
  alignas(64) float sum[sum_lanes], entropy_sum[sum_lanes];
  clear(sum);
  clear(entropy_sum);
  std::uint64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    float* const to = sum + i % sum_lanes;
    float* const entropy_to = entropy_sum + i % sum_lanes;
    const Floats apart = load<Floats>(s + i) - spread(m), e = exp(apart);
    store(s + i, e);
    store(to, load<Floats>(to) + e);
    store(entropy_to, weighted(e, apart, load<Floats>(entropy_to)));
  }
  for (; i < n; ++i) {
    const float apart = s[i] - m;
    s[i] = exp(apart);
    sum[i % sum_lanes] += s[i];
    entropy_sum[i % sum_lanes] = weighted(s[i], apart, entropy_sum[i % sum_lanes]);
  }
  l = folded(sum);
  entropy = folded(entropy_sum);
}

void cross_entropy(const CrossEntropy<Checked>& job, const Block& block) {
  const std::uint64_t n = job.logits.cols;
  for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) {
    float* __restrict const s = row_of(job.logits, i);
    float* const told = row_of(job.told, i);
    const std::uint32_t target = *row_of(job.targets, i);
    if (target == no_target) {
      __builtin_memset(s, 0, n * sizeof *s);
      __builtin_memset(told, 0, 3 * sizeof *told);
      continue;
    }
    const float m = largest_of(s, n), apart = m - s[target];
    float l, entropy;
    soften(s, n, m, l, entropy);
    const float inverse = 1.0f / l, log_l = log(l);
    told[0] = canonical(log_l + apart);
    told[1] = canonical(inverse);
    told[2] = canonical(fused(-entropy, inverse, log_l));
    const float p = s[target] * inverse;
    for (std::uint64_t j = 0; j < n; ++j) s[j] = canonical(s[j] * inverse);
    s[target] = canonical(p - 1.0f);
  }
}

// ---- the sum of squares

void square_lanes(const View<const float>& x, std::uint64_t lane, std::uint64_t count,
                  float* sums) {
  std::uint64_t at = 0;  // the lane of the row's first element
  for (std::uint64_t i = 0; i < x.rows; ++i) {
    const float* const row = row_of(x, i);
    const auto some = [&](std::uint64_t first, std::uint64_t end, std::uint64_t begin_lane) {
      for (std::uint64_t j = first; j < end; ++j) {
        const std::uint64_t l = begin_lane + j - first;
        if (l >= lane && l < lane + count) sums[l] = fused(row[j], row[j], sums[l]);
      }
    };
    std::uint64_t j = at == 0 ? 0 : sum_lanes - at;
    if (j > x.cols) j = x.cols;
    some(0, j, at);
    for (; j + sum_lanes <= x.cols; j += sum_lanes) {
      for (std::uint64_t l = lane; l < lane + count; ++l) {
        sums[l] = fused(row[j + l], row[j + l], sums[l]);
      }
    }
    some(j, x.cols, 0);
    at = (at + x.cols) % sum_lanes;
  }
}

float lanes_sum(float* sums) { return folded(sums); }

}  // namespace VOLT_ISA
}  // namespace volt::kernels
