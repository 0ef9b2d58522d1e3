// SPDX-License-Identifier: Apache-2.0

// Frozen matrices of networks, from how they are kept to how they are multiplied.

#include "each_cuda.cuh"
#include "network_cuda.hpp"
#include "network_functions.hpp"
#include "words_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

constexpr std::uint32_t lanes = 32;

VOLT_DEVICE void stage(float& a, float& b) {
  const float sum = a + b;
  b = a - b;
  a = sum;
}

// A block of threads has a block of 128 x 128: a warp 8 rows of it, a lane 4 neighbours of each.
struct QuantisedRotated {
  static constexpr unsigned threads = 512, resident = 2;
  static constexpr std::uint32_t warps = threads / lanes, rows = group / warps,
                                 cols = group / lanes;
  struct Shared {
    float strip[2][group][lanes];  // every fourth column
    std::uint32_t amax[warps];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const std::uint64_t top = block_index() / across * group, left = block_index() % across * group;
    const std::uint64_t row = top + warp() * rows, col = left + lane() * cols;
    float w[rows][cols];
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < rows; ++i) {
      take(w[i], row + i, col);
      VOLT_UNROLL
      for (std::uint32_t j = 0; j < cols; ++j) {
        const std::uint32_t of_row = rotation_sign(warp() * rows + i);
        w[i][j] = bits_float(float_bits(w[i][j]) ^ rotation_sign(lane() * cols + j) ^ of_row);
      }
    }
    if (job.down_first) rotate_down(w, shared);
    rotate_across(w);
    if (!job.down_first) rotate_down(w, shared);
    const GroupScale scale = group_scale(largest_of(w, shared));
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < rows; ++i) give(w[i], row + i, col, scale);
    if (thread_index() >= group) return;
    job.by_rows.data[(top + thread_index()) * job.by_rows.stride + left / group] = scale.scale;
    job.by_columns.data[top / group * job.by_columns.stride + left + thread_index()] = scale.scale;
  }

  VOLT_DEVICE static std::uint32_t lane() { return thread_index() % lanes; }
  VOLT_DEVICE static std::uint32_t warp() { return thread_index() / lanes; }

  VOLT_DEVICE void take(float (&to)[cols], std::uint64_t row, std::uint64_t col) const {
    const float* const from = job.x.data + row * job.x.stride + col;
    if (row < job.x.rows && col + cols <= job.x.cols && is_aligned(from, 16)) {
      const Words words = load_16(from);
      VOLT_UNROLL
      for (std::uint32_t j = 0; j < cols; ++j) to[j] = bits_float(words.word[j]);
      return;
    }
    VOLT_UNROLL
    for (std::uint32_t j = 0; j < cols; ++j) {
      to[j] = row < job.x.rows && col + j < job.x.cols ? from[j] : 0.0f;
    }
  }

  VOLT_DEVICE static void rotate_across(float (&w)[rows][cols]) {
    VOLT_UNROLL
    for (float(&line)[cols] : w) {
      stage(line[0], line[1]);
      stage(line[2], line[3]);
      stage(line[0], line[2]);
      stage(line[1], line[3]);
    }
    for (std::uint32_t mask = 1; mask < lanes; mask *= 2) {
      const bool upper = (lane() & mask) != 0;
      VOLT_UNROLL
      for (float(&line)[cols] : w) {
        VOLT_UNROLL
        for (float& own : line) {
          const float other = shuffle_xor(own, mask);
          own = upper ? other - own : own + other;
        }
      }
    }
  }

  // Distances below 8 are a thread's own; for the others two strips at a time change hands, so that
  // a thread has every 8th row of a column.
  VOLT_DEVICE static void rotate_down(float (&w)[rows][cols], Shared& shared) {
    VOLT_UNROLL
    for (std::uint32_t distance = 1; distance < rows; distance *= 2) {
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < rows; ++i) {
        if ((i & distance) != 0) continue;
        VOLT_UNROLL
        for (std::uint32_t j = 0; j < cols; ++j) stage(w[i][j], w[i + distance][j]);
      }
    }
    VOLT_UNROLL
    for (std::uint32_t pair = 0; pair < cols; pair += 2) {
      exchange<true>(w, pair, shared);
      sync_block();
      rotate_strip(shared.strip[warp() / rows], warp() % rows);
      sync_block();
      exchange<false>(w, pair, shared);
    }
  }

  template <bool out>
  VOLT_DEVICE static void exchange(float (&w)[rows][cols], std::uint32_t pair, Shared& shared) {
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < rows; ++i) {
      VOLT_UNROLL
      for (std::uint32_t j = 0; j < 2; ++j) {
        float& there = shared.strip[j][warp() * rows + i][lane()];
        if constexpr (out) {
          there = w[i][pair + j];
        } else {
          w[i][pair + j] = there;
        }
      }
    }
  }

  VOLT_DEVICE static void rotate_strip(float (&strip)[group][lanes], std::uint32_t first) {
    constexpr std::uint32_t count = group / rows;
    float v[count];
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < count; ++i) v[i] = strip[first + i * rows][lane()];
    VOLT_UNROLL
    for (std::uint32_t distance = 1; distance < count; distance *= 2) {
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < count; ++i) {
        if ((i & distance) == 0) stage(v[i], v[i + distance]);
      }
    }
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < count; ++i) strip[first + i * rows][lane()] = v[i];
  }

  // Of all threads; the elements take their factor first.
  VOLT_DEVICE static std::uint32_t largest_of(float (&w)[rows][cols], Shared& shared) {
    std::uint32_t amax = 0;
    const auto add = [&](std::uint32_t bits) { amax = bits > amax ? bits : amax; };
    VOLT_UNROLL
    for (float(&line)[cols] : w) {
      VOLT_UNROLL
      for (float& value : line) {
        value *= 0x1p-14f;
        add(magnitude_bits(value));
      }
    }
    for (std::uint32_t mask = lanes / 2; mask != 0; mask /= 2) add(shuffle_xor(amax, mask));
    if (lane() == 0) shared.amax[warp()] = amax;
    sync_block();
    for (const std::uint32_t of_warp : shared.amax) add(of_warp);
    return amax;
  }

  VOLT_DEVICE void give(const float (&w)[cols], std::uint64_t row, std::uint64_t col,
                        GroupScale scale) const {
    std::int8_t q[cols];
    VOLT_UNROLL
    for (std::uint32_t j = 0; j < cols; ++j) q[j] = quantise_one(w[j], scale);
    std::int8_t* const to = job.q.data + row * job.q.stride + col;
    if (is_aligned(to, cols)) {
      __builtin_memcpy(__builtin_assume_aligned(to, cols), q, cols);
      return;
    }
    VOLT_UNROLL
    for (std::uint32_t j = 0; j < cols; ++j) to[j] = q[j];
  }

  QuantiseRotated<Checked> job;
  std::uint64_t across;  // blocks
};

// A thread has four neighbours, which are of one block of NF4, at a time.
struct ExpandedNf4 {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr std::uint32_t each = 4, steps = 8;
  static constexpr std::uint64_t per_block = steps * each * threads;
  struct Shared {
    float nf4[16], map[256];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    if (thread_index() < 16) shared.nf4[thread_index()] = nf4_value(thread_index());
    shared.map[thread_index()] = dynamic_value(thread_index());
    sync_block();
    const std::uint64_t first = block_index() * per_block + each * thread_index();
    for (std::uint64_t e = first; e < first + per_block && e < run.count(); e += each * threads) {
      const std::uint64_t block = e / nf4_block;
      const float scale = job.scales.data[(job.first + block) / nf4_group];
      const float absmax = nf4_absmax(shared.map[job.codes.data[block]], scale, job.offset);
      Words words = {};
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < each; ++i) {
        if (e + i >= run.count()) continue;
        const std::uint32_t byte = job.nibbles.data[(e + i) / 2];
        const float value = shared.nf4[i % 2 == 0 ? byte >> 4 : byte & 15];
        words.word[i] = float_bits(canonical(value * absmax));
      }
      store(e, words);
    }
  }

  VOLT_DEVICE void store(std::uint64_t e, const Words& words) const {
    if (run.rows == 1 && e + each <= run.cols && is_aligned(job.y.data + e, 16)) {
      return store_16(job.y.data + e, words);
    }
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < each; ++i) {
      if (e + i < run.count()) element(job.y, run.at(e + i)) = bits_float(words.word[i]);
    }
  }

  ExpandNf4<Checked> job;
  Run run;
};

}  // namespace

Status cuda_quantise_rotated(CudaStream stream, const QuantiseRotated<Checked>& job) {
  const std::uint64_t across = job.by_rows.cols;
  return launch(stream, job.by_columns.rows * across, QuantisedRotated{job, across});
}

Status cuda_expand_nf4(CudaStream stream, const ExpandNf4<Checked>& job) {
  const Run run = run_of(job.y);
  return launch(stream, (run.rows * run.cols - 1) / ExpandedNf4::per_block + 1,
                ExpandedNf4{job, run});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
