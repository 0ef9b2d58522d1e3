// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support.hpp"

/// Random numbers of every kind, and random places for matrices of them.
namespace volt::kernels::test {

using Random = std::mt19937_64;

inline std::uint64_t below(Random& random, std::uint64_t n) { return random() % n; }

/// Infinities, NaNs, zeros, denormals and what lies beside them.
inline float odd_number(std::uint64_t r) {
  static constexpr std::uint32_t odd[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345,
                                          0x7f800001, 0x80000000, 0x00000000, 0x00000001,
                                          0x807fffff, 0x00800000, 0x7f7fffff};
  return std::bit_cast<float>(odd[r % std::size(odd)]);
}

/// Within [-1, 1), a seventh of them very small; where `wild`, one of 64 is odd.
inline float number(Random& random, bool wild) {
  const std::uint64_t r = random();
  if (wild && r % 64 == 0) return odd_number(r >> 8);
  const float value = static_cast<float>(static_cast<std::int32_t>(r >> 32)) * 0x1p-31f;
  return r % 7 == 0 ? value * 0x1p-70f : value;
}

inline std::vector<float> floats(Random& random, std::uint64_t count, bool wild) {
  std::vector<float> values(count);
  for (float& value : values) value = number(random, wild);
  return values;
}

/// Where a matrix lies in its memory; the rest of the memory must not change.
struct Place {
  Place() = default;
  Place(Random& random, std::uint64_t r, std::uint64_t c)
      : rows(r),
        cols(c),
        stride(c + below(random, 3) * below(random, 9)),
        offset(below(random, 5)),
        size(offset + r * stride + below(random, 3)) {}
  Matrix in(Buffer* buffer) const { return {buffer, offset, rows, cols, stride}; }
  std::uint64_t rows = 0, cols = 0, stride = 0, offset = 0, size = 0;
};

}  // namespace volt::kernels::test
