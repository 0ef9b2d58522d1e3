// SPDX-License-Identifier: Apache-2.0

// Norms and their input gradients: 32 threads a row where rows are short (those of heads), 128
// where they are long. What they add to weights' gradients is in chains_cuda.cu.

#include "chains_cuda.hpp"
#include "lanes_cuda.cuh"
#include "network_cuda.hpp"
#include "network_functions.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

constexpr std::uint64_t long_row = 1024;

/// norm.row(i, keeps, mean, each) by `team` threads for each i < norm.rows(), of which `keeps` is
/// true for one: mean(add) is what the row's sum128 of add comes to by its elements, and each(set)
/// calls set(j) for all columns.
template <class Norm, unsigned team>
struct ByRows {
  static constexpr unsigned threads = 128, resident = 8;
  using Shared = typename Team<team>::Shared;

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint64_t row =
        std::uint64_t{block_index()} * (threads / team) + thread_index() / team;
    if (row >= norm.rows()) return;
    const std::uint64_t n = norm.job.w.cols;
    norm.row(
        row, thread_index() % team == 0,
        [&](auto add) { return Team<team>::sum(shared, n, add) / static_cast<float>(n); },
        [&](auto set) {
          for (std::uint64_t j = thread_index() % team; j < n; j += team) set(j);
        });
  }

  Norm norm;
};

template <class T>
VOLT_DEVICE T* row_of(const View<T>& view, std::uint64_t i) {
  return view.data + i * view.stride;
}

struct RmsForward {
  template <class Mean, class Each>
  VOLT_DEVICE void row(std::uint64_t i, bool keeps, Mean mean, Each each) const {
    const float* const x = head_of(job.x, i, job.r.cols);
    const float* const w = job.w.data;
    float* const y = head_of(job.y, i, job.r.cols);
    const float squares = mean([=](std::uint64_t j, float acc) { return fused(x[j], x[j], acc); });
    const float r = rsqrt(squares + job.epsilon);
    if (keeps) *head_of(job.r, i, job.r.cols) = r;
    each([=](std::uint64_t j) { y[j] = canonical((x[j] * r) * w[j]); });
  }
  VOLT_DEVICE std::uint64_t rows() const { return job.x.rows * job.r.cols; }
  RmsNorm<Checked> job;
};

struct RmsBackward {
  template <class Mean, class Each>
  VOLT_DEVICE void row(std::uint64_t i, bool, Mean mean, Each each) const {
    const float* const x = head_of(job.x, i, job.r.cols);
    const float* const dy = head_of(job.dy, i, job.r.cols);
    const float* const w = job.w.data;
    float* const dx = head_of(job.dx, i, job.r.cols);
    const float r = *head_of(job.r, i, job.r.cols);
    const float dot =
        mean([=](std::uint64_t j, float acc) { return fused(dy[j] * w[j], x[j], acc); });
    const float c = ((r * r) * r) * dot;
    each([=](std::uint64_t j) { dx[j] = canonical(dx[j] + fused(-x[j], c, (dy[j] * w[j]) * r)); });
  }
  VOLT_DEVICE std::uint64_t rows() const { return job.x.rows * job.r.cols; }
  RmsNormBackward<Checked> job;
};

struct LayerForward {
  template <class Mean, class Each>
  VOLT_DEVICE void row(std::uint64_t i, bool keeps, Mean mean, Each each) const {
    const float* const x = row_of(job.x, i);
    const float* const w = job.w.data;
    const float* const b = job.b.data;
    float* const y = row_of(job.y, i);
    const float center = mean([=](std::uint64_t j, float acc) { return acc + x[j]; });
    const float squares = mean([=](std::uint64_t j, float acc) {
      const float apart = x[j] - center;
      return fused(apart, apart, acc);
    });
    const float r = rsqrt(squares + job.epsilon);
    if (keeps) {
      row_of(job.kept, i)[0] = canonical(center);
      row_of(job.kept, i)[1] = r;
    }
    each([=](std::uint64_t j) { y[j] = canonical(fused((x[j] - center) * r, w[j], b[j])); });
  }
  VOLT_DEVICE std::uint64_t rows() const { return job.x.rows; }
  LayerNorm<Checked> job;
};

struct LayerBackward {
  template <class Mean, class Each>
  VOLT_DEVICE void row(std::uint64_t i, bool, Mean mean, Each each) const {
    const float* const x = row_of(job.x, i);
    const float* const dy = row_of(job.dy, i);
    const float* const w = job.w.data;
    float* const dx = row_of(job.dx, i);
    const float center = row_of(job.kept, i)[0], r = row_of(job.kept, i)[1];
    const float s = mean(
        [=](std::uint64_t j, float acc) { return fused(dy[j] * w[j], (x[j] - center) * r, acc); });
    const float t = mean([=](std::uint64_t j, float acc) { return acc + dy[j] * w[j]; });
    each([=](std::uint64_t j) {
      const float h = (x[j] - center) * r;
      dx[j] = canonical(dx[j] + r * fused(-h, s, dy[j] * w[j] - t));
    });
  }
  VOLT_DEVICE std::uint64_t rows() const { return job.x.rows; }
  LayerNormBackward<Checked> job;
};

template <class Norm>
Status by_rows(CudaStream stream, const Norm& norm) {
  const std::uint64_t rows = norm.rows();
  if (norm.job.w.cols >= long_row) return launch(stream, rows, ByRows<Norm, 128>{norm});
  return launch(stream, (rows - 1) / 4 + 1, ByRows<Norm, 32>{norm});
}

}  // namespace

Status cuda_rms_norm(CudaStream stream, const RmsNorm<Checked>& job) {
  return by_rows(stream, RmsForward{job});
}

Status cuda_rms_norm_backward(CudaStream stream, const RmsNormBackward<Checked>& job) {
  const Status status = by_rows(stream, RmsBackward{job});
  if (status.code != Status::ok || job.dw.data == nullptr) return status;
  return cuda_chain_weights(stream, job);
}

Status cuda_layer_norm(CudaStream stream, const LayerNorm<Checked>& job) {
  return by_rows(stream, LayerForward{job});
}

Status cuda_layer_norm_backward(CudaStream stream, const LayerNormBackward<Checked>& job) {
  const Status status = by_rows(stream, LayerBackward{job});
  if (status.code != Status::ok || job.dw.data == nullptr) return status;
  return cuda_chain_weights(stream, job);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
