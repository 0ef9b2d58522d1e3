// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules.

#include "rotations_cpu.hpp"

#include "network_functions.hpp"
#include "pack_cpu.hpp"
#include "sum_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// ---- pairs: the angles of a row are the same for all its heads

constexpr std::uint64_t batch_pairs = 64;

static void turn_pairs(float* __restrict a, float* __restrict b, const float* __restrict cosine,
                       const float* __restrict sine, std::uint64_t count) {
  for (std::uint64_t j = 0; j < count; ++j) {
    const Turned turned = turn(a[j], b[j], {cosine[j], sine[j]});
    a[j] = turned.a;
    b[j] = turned.b;
  }
}

void rope(const Rope<Checked>& job, const Block& block) {
  const std::uint64_t half = job.turns.cols;
  for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) {
    float* const x = row_of(job.x, i);
    const std::uint64_t position = *row_of(job.positions, i);
    for (std::uint64_t first = 0; first < half; first += batch_pairs) {
      const std::uint64_t count = half - first < batch_pairs ? half - first : batch_pairs;
      float cosine[batch_pairs], sine[batch_pairs];
      for (std::uint64_t j = 0; j < count; ++j) {
        const Angle angle = angle_of(position * job.turns.data[first + j], job.backward);
        cosine[j] = angle.cosine;
        sine[j] = angle.sine;
      }
      for (std::uint64_t head = 0; head < job.x.cols; head += 2 * half) {
        turn_pairs(x + head + first, x + head + half + first, cosine, sine, count);
      }
    }
  }
}

// ---- groups of 128: as many as registers, or nearly

constexpr std::uint64_t group_size = 128;
constexpr int group_vectors = 128 / lanes;

// Where i has the bit of the distance.
template <int distance, int... i>
VOLT_VECTOR Words signs(Places<i...>) {
  return Words{((i & distance) != 0 ? 0x80000000u : 0u)...};
}

template <int distance>
VOLT_VECTOR void butterflies(Floats (&v)[group_vectors]) {
  if constexpr (distance < lanes) {
    const Words sign = signs<distance>(FirstPlaces<lanes>::Type{});  // a + b, and a + (-b)
    for (Floats& one : v) one = swapped<distance>(one) + (Floats)((Words)one ^ sign);
  } else {
    for (int i = 0; i < group_vectors; ++i) {
      if ((i * lanes & distance) != 0) continue;
      const Floats a = v[i], b = v[i + distance / lanes];
      v[i] = a + b;
      v[i + distance / lanes] = a - b;
    }
  }
  if constexpr (distance < 64) butterflies<2 * distance>(v);
}

struct RotationSigns {
  std::uint32_t bits[group_size];

  constexpr RotationSigns() : bits() {
    for (std::uint32_t j = 0; j < group_size; ++j) bits[j] = rotation_sign(j);
  }
};
alignas(64) static constexpr RotationSigns rotation_signs;

VOLT_VECTOR Floats signed_for_rotation(Floats value, int i) {
  return (Floats)((Words)value ^ load<Words>(rotation_signs.bits + i * lanes));
}

template <bool back>
static void rotate_group(const float* x, float* y, float factor) {
  Floats v[group_vectors];
  for (int i = 0; i < group_vectors; ++i) {
    v[i] = load<Floats>(x + i * lanes);
    if constexpr (!back) v[i] = signed_for_rotation(v[i], i);
  }
  butterflies<1>(v);
  for (int i = 0; i < group_vectors; ++i) {
    v[i] = v[i] * spread(factor);
    if constexpr (back) v[i] = signed_for_rotation(v[i], i);
    store(y + i * lanes, canonical(v[i]));
  }
}

template <bool back>
static void rotate_rows(const Rotate<Checked>& job, const Block& block) {
  for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) {
    const float* const x = row_of(job.x, i);
    float* const y = row_of(job.y, i);
    std::uint64_t first = 0;
    for (; first + group_size <= least(job.x.cols, job.y.cols); first += group_size) {
      rotate_group<back>(x + first, y + first, job.factor);
    }
    if (first >= job.x.cols) continue;
    float edge[group_size] = {};
    __builtin_memcpy(edge, x + first, least(group_size, job.x.cols - first) * sizeof *x);
    rotate_group<back>(edge, edge, job.factor);
    __builtin_memcpy(y + first, edge, least(group_size, job.y.cols - first) * sizeof *y);
  }
}

void rotate(const Rotate<Checked>& job, const Block& block) {
  job.back ? rotate_rows<true>(job, block) : rotate_rows<false>(job, block);
}

static void rotate_down(float (&w)[group_size][group_size]) {
  for (std::uint64_t distance = 1; distance < group_size; distance *= 2) {
    for (std::uint64_t i = 0; i < group_size; ++i) {
      if ((i & distance) != 0) continue;
      float* __restrict const upper = w[i];
      float* __restrict const lower = w[i + distance];
      for (std::uint64_t j = 0; j < group_size; ++j) {
        const float a = upper[j], b = lower[j];
        upper[j] = a + b;
        lower[j] = a - b;
      }
    }
  }
}

void quantise_rotated(const QuantiseRotated<Checked>& job, std::uint64_t row, std::uint64_t col) {
  alignas(64) float w[group_size][group_size] = {};
  const std::uint64_t rows = least(group_size, job.x.rows - row);
  const std::uint64_t cols = least(group_size, job.x.cols - col);
  for (std::uint64_t i = 0; i < rows; ++i) {
    __builtin_memcpy(w[i], row_of(job.x, row + i) + col, cols * sizeof(float));
    // Those of a column; the rotation along the row brings the row's own.
    if (rotation_sign(static_cast<std::uint32_t>(i)) == 0) continue;
    for (float& value : w[i]) value = -value;
  }
  if (job.down_first) rotate_down(w);
  for (float* const line : w) rotate_group<false>(line, line, 1.0f);
  if (!job.down_first) rotate_down(w);
  std::uint32_t amax = 0;
  for (float(&line)[group_size] : w) {
    for (float& value : line) {
      value *= 0x1p-14f;
      const std::uint32_t bits = magnitude_bits(value);
      amax = bits > amax ? bits : amax;
    }
  }
  const GroupScale scale = group_scale(amax);
  for (std::uint64_t i = 0; i < group_size; ++i) {
    row_of(job.by_rows, row + i)[col / group_size] = scale.scale;
    row_of(job.by_columns, row / group_size)[col + i] = scale.scale;
    std::int8_t* const q = row_of(job.q, row + i) + col;
    for (std::uint64_t j = 0; j < group_size; ++j) q[j] = quantise_one(w[i][j], scale);
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
