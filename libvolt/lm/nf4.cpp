// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/nf4.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "kernels/network_functions.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/sum.hpp"

namespace volt::lm {
namespace {

using kernels::nf4_block;
using kernels::nf4_group;

std::uint64_t parts(std::uint64_t count, std::uint64_t each) {
  return count / each + (count % each != 0 ? 1 : 0);
}

float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

/// What lies behind the end of a short block is 0, and not looked at.
using Block = std::array<float, nf4_block>;

/// Loops over elements within loops over midpoints, of which compilers make vectors.
std::array<std::uint32_t, nf4_block> nibbles_of(const Block& block, float absmax) {
  const float inverse = 1.0F / std::max(absmax, 1e-38F);
  Block scaled = block;
  for (float& x : scaled) x = std::min(std::max(x * inverse, -1.0F), 1.0F);
  std::array<std::uint32_t, nf4_block> nibbles{};
  for (std::uint32_t i = 0; i < 15; ++i) {
    const float midpoint = (kernels::nf4_value(i) + kernels::nf4_value(i + 1)) / 2.0F;
    for (std::size_t e = 0; e < nf4_block; ++e) nibbles[e] += scaled[e] > midpoint ? 1 : 0;
  }
  return nibbles;
}

/// In double the midpoints of neighbours are exact.
std::uint8_t nearest_code(float value) {
  static const auto midpoints = [] {
    std::array<double, 255> all{};
    for (std::uint32_t i = 0; i < 255; ++i) {
      all[i] = (double{kernels::dynamic_value(i)} + double{kernels::dynamic_value(i + 1)}) / 2;
    }
    return all;
  }();
  return static_cast<std::uint8_t>(std::ranges::lower_bound(midpoints, double{value}) -
                                   midpoints.begin());
}

void quantise_magnitudes(std::span<float> magnitudes, Nf4& to) {
  const float sum = sum128(magnitudes.size(), [&](std::size_t i) { return magnitudes[i]; });
  to.offset = sum / static_cast<float>(magnitudes.size());
  for (float& magnitude : magnitudes) magnitude -= to.offset;
  for (std::size_t first = 0; first < magnitudes.size(); first += nf4_group) {
    const auto group = magnitudes.subspan(first, std::min(nf4_group, magnitudes.size() - first));
    const float scale = largest_magnitude(group);
    to.scales.push_back(scale);
    for (const float magnitude : group) {
      to.codes.push_back(scale == 0 ? std::uint8_t{0} : nearest_code(magnitude / scale));
    }
  }
}

}  // namespace

std::uint64_t Nf4::bytes(std::uint64_t elements) {
  const std::uint64_t blocks = parts(elements, nf4_block);
  return parts(elements, 2) + blocks + 4 * parts(blocks, nf4_group);
}

Nf4 quantise_nf4(const Weight& weight) {
  const std::uint64_t elements = weight.description.elements();
  Nf4 result;
  result.nibbles.resize(parts(elements, 2));
  std::vector<float> magnitudes;
  magnitudes.reserve(parts(elements, nf4_block));
  for (std::uint64_t first = 0; first < elements; first += nf4_block) {
    const std::uint64_t count = std::min(nf4_block, elements - first);
    Block block{};
    read_floats(weight, first, std::span(block).first(count));
    magnitudes.push_back(largest_magnitude(block));
    const auto nibbles = nibbles_of(block, magnitudes.back());
    for (std::uint64_t e = 0; e < count; ++e) {
      const std::uint32_t placed = e % 2 == 0 ? nibbles[e] << 4 : nibbles[e];
      result.nibbles[(first + e) / 2] |= static_cast<std::uint8_t>(placed);
    }
  }
  quantise_magnitudes(magnitudes, result);
  if (!std::isfinite(result.offset)) {
    throw Error(Exit::usage,
                printable(weight.file) + ": tensor \"" + printable(weight.name) +
                    "\" is too large for nf4: the sum of its magnitudes is not finite",
                "use base_format = \"fp32\"");
  }
  return result;
}

}  // namespace volt::lm
