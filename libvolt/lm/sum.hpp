// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace volt::lm {

/// sum128 of the numerics contract (section 3) of value(0), ... value(count - 1).
template <class Value>
float sum128(std::size_t count, Value value) {
  float lanes[128] = {};
  for (std::size_t i = 0; i < count; ++i) lanes[i % 128] += value(i);
  for (std::size_t distance = 64; distance != 0; distance /= 2) {
    for (std::size_t i = 0; i < distance; ++i) lanes[i] += lanes[i + distance];
  }
  return lanes[0];
}

}  // namespace volt::lm
