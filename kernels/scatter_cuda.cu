// SPDX-License-Identifier: Apache-2.0

// Rows added to rows that ids name. The first row of an id adds all of its id, in order, so that no
// other writes there: this takes neither atomics nor sorting, and ids are few beside elements.

#include "device_cuda.cuh"
#include "network_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

// A block for each row and piece of its columns; most of them find at once that they are not first.
struct Scatter {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr std::uint32_t each = 4, per_block = each * threads;
  struct Shared {
    bool same[threads], any[threads / 32];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint64_t row = block_index() / pieces;
    const std::uint64_t first = block_index() % pieces * std::uint64_t{per_block} + thread_index();
    const std::uint32_t id = job.ids.data[row * job.ids.stride];
    for (std::uint64_t other = 0; other < row; other += threads) {
      if (find(shared, id, other, row)) return;
    }
    float* const to = job.dtable.data + id * job.dtable.stride;
    float acc[each];
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < each; ++i) {
      acc[i] = first + i * threads < job.dx.cols ? to[first + i * threads] : 0.0f;
    }
    for (std::uint64_t other = row; other < job.dx.rows; other += threads) {
      if (!find(shared, id, other, job.dx.rows)) continue;
      for (std::uint32_t i = 0; i < threads; ++i) {
        if (shared.same[i]) add(acc, other + i, first);
      }
    }
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < each; ++i) {
      if (first + i * threads < job.dx.cols) to[first + i * threads] = canonical(acc[i]);
    }
  }

  /// Whether one of rows begin, begin + 1, ... before `end` has the id; shared.same says which of
  /// as many as there are threads.
  VOLT_DEVICE bool find(Shared& shared, std::uint32_t id, std::uint64_t begin,
                        std::uint64_t end) const {
    const std::uint64_t row = begin + thread_index();
    const bool same = row < end && job.ids.data[row * job.ids.stride] == id;
    const bool any = any_in_warp(same);
    sync_block();  // all have read what was found before
    shared.same[thread_index()] = same;
    if (thread_index() % 32 == 0) shared.any[thread_index() / 32] = any;
    sync_block();
    bool found = false;
    for (bool in_warp : shared.any) found = found || in_warp;
    return found;
  }

  VOLT_DEVICE void add(float (&acc)[each], std::uint64_t row, std::uint64_t first) const {
    const float* const dx = job.dx.data + row * job.dx.stride;
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < each; ++i) {
      if (first + i * threads < job.dx.cols) acc[i] = acc[i] + dx[first + i * threads];
    }
  }

  ScatterRows<Checked> job;
  std::uint32_t pieces;  // of a row
};

}  // namespace

Status cuda_scatter_rows(CudaStream stream, const ScatterRows<Checked>& job) {
  const std::uint64_t pieces = (job.dx.cols - 1) / Scatter::per_block + 1;
  return launch(stream, job.dx.rows * pieces, Scatter{job, static_cast<std::uint32_t>(pieces)});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
