// SPDX-License-Identifier: Apache-2.0

#include "values.hpp"

#include <bit>
#include <cmath>
#include <iterator>

namespace volt::gpu {
namespace {

float odd_float(std::uint64_t r) {
  static constexpr std::uint32_t odd[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345,
                                          0x7f800001, 0x80000000, 0x00000000, 0x00000001,
                                          0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff};
  return std::bit_cast<float>(odd[r % std::size(odd)]);
}

// The powers of two that element sizes of groups of each kind have.
float group_size(std::uint64_t kind) {
  static constexpr float sizes[] = {0, 0x1.8p-102f, 0x1p-100f, 0x1p-140f, 0x1.fffffep127f};
  return kind < std::size(sizes) ? sizes[kind] : 1.0f;
}

}  // namespace

std::uint64_t Random::operator()() {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

std::uint64_t random_extent(Random& random, std::uint64_t most) {
  static constexpr std::uint64_t edges[] = {0,   1,   2,   3,   4,   5,   7,   8,   15,   16,  17,
                                            31,  32,  33,  63,  64,  65,  127, 128, 129,  191, 255,
                                            256, 257, 383, 384, 385, 511, 512, 513, 1024, 1025};
  const std::uint64_t edge = edges[random.below(std::size(edges))];
  return random.one_in(2) && edge < most ? edge : random.below(most);
}

float random_float(Random& random, bool wild) {
  const std::uint64_t r = random();
  if (wild && r % 64 == 0) return odd_float(r >> 8);
  const float value = static_cast<float>(static_cast<std::int32_t>(r >> 32)) * 0x1p-31f;
  return r % 7 == 0 ? value * 0x1p-70f : value;
}

std::vector<float> random_floats(Random& random, std::uint64_t count, bool wild) {
  std::vector<float> values(count);
  for (float& value : values) value = random_float(random, wild);
  return values;
}

std::vector<float> random_groups(Random& random, const kernels::Matrix& place, std::uint64_t size,
                                 kernels::Quantised::Axis axis) {
  std::vector<float> values = random_floats(random, size, false);
  const bool along_cols = axis == kernels::Quantised::along_cols;
  const std::uint64_t lines = along_cols ? place.rows : place.cols;
  const std::uint64_t length = along_cols ? place.cols : place.rows;
  for (std::uint64_t line = 0; line < lines; ++line) {
    const std::uint64_t start = random();
    for (std::uint64_t i = 0; i < length; ++i) {
      const std::uint64_t kind = (start + i / kernels::group) % 12;
      const std::uint64_t row = along_cols ? line : i, col = along_cols ? i : line;
      float& value = values[place.offset + row * place.stride + col];
      value = i % kernels::group == 7 ? group_size(kind) : value * group_size(kind);
      if (kind == 5 && i % kernels::group == 9) value = HUGE_VALF;
      if (kind == 6 && i % kernels::group == 9) value = std::bit_cast<float>(0xffc12345u);
      if (kind == 7 && random.one_in(8)) value = odd_float(random());
    }
  }
  return values;
}

Place random_place(Random& random, std::uint64_t rows, std::uint64_t cols) {
  Place place{rows, cols, cols, 0, 0};
  if (random.one_in(2)) {
    place.stride = (cols + 15) / 16 * 16 + 16 * random.below(3);
    place.offset = 16 * random.below(3);
  } else {
    place.stride += random.below(3) * random.below(9);
    place.offset = random.below(5);
  }
  place.size = place.offset + rows * place.stride + random.below(3);
  return place;
}

}  // namespace volt::gpu
