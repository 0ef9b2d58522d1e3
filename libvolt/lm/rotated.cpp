// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/rotated.hpp"

#include <algorithm>

#include "kernels/exact.hpp"

namespace volt::lm {
namespace {

constexpr std::uint64_t group = 128;

void butterfly(float& a, float& b) {
  const float sum = a + b;
  b = a - b;
  a = sum;
}

/// Each group of 128 neighbours of `line`.
void rotate_along(std::span<float> line) {
  for (std::uint64_t first = 0; first < line.size(); first += group) {
    for (std::uint64_t distance = 1; distance < group; distance *= 2) {
      for (std::uint64_t i = 0; i < group; ++i) {
        if ((i & distance) == 0) butterfly(line[first + i], line[first + i + distance]);
      }
    }
  }
}

/// Each group of 128 rows of a matrix of `cols` columns.
void rotate_down(std::span<float> matrix, std::uint64_t cols) {
  for (std::uint64_t first = 0; first < matrix.size() / cols; first += group) {
    for (std::uint64_t distance = 1; distance < group; distance *= 2) {
      for (std::uint64_t i = 0; i < group; ++i) {
        if ((i & distance) != 0) continue;
        float* const a = matrix.data() + (first + i) * cols;
        float* const b = a + distance * cols;
        for (std::uint64_t j = 0; j < cols; ++j) butterfly(a[j], b[j]);
      }
    }
  }
}

}  // namespace

RotatedBlocks rotated_blocks(std::span<const float> weight, std::uint64_t out, std::uint64_t in,
                             bool conv1d) {
  const std::uint64_t groups_out = (out + group - 1) / group, groups_in = (in + group - 1) / group;
  const std::uint64_t rows = groups_out * group, cols = groups_in * group;
  std::vector<float> w(rows * cols);
  for (std::uint64_t i = 0; i < out; ++i) {
    for (std::uint64_t j = 0; j < in; ++j) {
      w[i * cols + j] = conv1d ? weight[j * out + i] : weight[i * in + j];
    }
  }
  rotate_along(w);
  rotate_down(w, cols);
  for (float& value : w) value *= 0x1p-14F;

  RotatedBlocks blocks;
  blocks.quants.resize(rows * cols);
  blocks.scales.resize(groups_out * groups_in);
  for (std::uint64_t g = 0; g < blocks.scales.size(); ++g) {
    const std::uint64_t corner = g / groups_in * group * cols + g % groups_in * group;
    std::uint32_t amax = 0;
    for (std::uint64_t e = 0; e < group * group; ++e) {
      amax = std::max(amax, kernels::magnitude_bits(w[corner + e / group * cols + e % group]));
    }
    const auto scale = kernels::group_scale(amax);
    blocks.scales[g] = scale.scale;
    for (std::uint64_t e = 0; e < group * group; ++e) {
      const std::uint64_t at = corner + e / group * cols + e % group;
      blocks.quants[at] = kernels::quantise_one(w[at], scale);
    }
  }
  return blocks;
}

}  // namespace volt::lm
