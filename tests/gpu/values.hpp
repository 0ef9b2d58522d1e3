// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/backend.hpp"

/// Operands of the cases: random, the same in every run and on every machine, with what rounds,
/// overflows and propagates among them.
namespace volt::gpu {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()();
  std::uint64_t below(std::uint64_t n) { return (*this)() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// Extents below `most`, with many at which loops go wrong.
std::uint64_t random_extent(Random& random, std::uint64_t most);

/// In [-1, 1), a few of them tiny. `wild`: infinities, NaNs, denormals, -0 and the largest too.
float random_float(Random& random, bool wild);
std::vector<float> random_floats(Random& random, std::uint64_t count, bool wild);

/// Values that share no group's fate: along the axis each group of 128 is one of zero, below
/// 2^-100, at 2^-100, denormal, near the largest, with an infinity, with a NaN, or ordinary.
std::vector<float> random_groups(Random& random, const kernels::Matrix& place, std::uint64_t size,
                                 kernels::Quantised::Axis axis);

/// All bit patterns are as likely.
template <class T>
std::vector<T> random_words(Random& random, std::uint64_t count) {
  std::vector<T> values(count);
  const std::uint64_t bytes = count * sizeof(T);
  for (std::uint64_t done = 0; done < bytes; done += 8) {
    const std::uint64_t word = random();
    std::memcpy(reinterpret_cast<char*>(values.data()) + done, &word,
                std::min<std::uint64_t>(8, bytes - done));
  }
  return values;
}

/// Where a matrix lies in its memory. Half of them begin and step as vector loads like it; the
/// others anywhere. What lies around a result must not change.
struct Place {
  std::uint64_t rows = 0, cols = 0, stride = 0, offset = 0;
  std::uint64_t size = 0;  ///< elements of the memory

  kernels::Matrix in(kernels::Buffer* buffer) const { return {buffer, offset, rows, cols, stride}; }
};

Place random_place(Random& random, std::uint64_t rows, std::uint64_t cols);

}  // namespace volt::gpu
