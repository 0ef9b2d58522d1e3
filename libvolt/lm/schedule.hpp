// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace volt::lm {

/// The learning rate of each step. With w steps of warm-up of n in all, step t (from 0) has
/// peak * ((t + 1) / w) while t < w; then, with p = t - w of q = n - w,
///   constant  peak
///   linear    peak * ((q - p) / q)
///   cosine    peak * (0.5 * (1 + cos)), the cosine of p / q of half a turn, floor(p 2^63 / q)
///             in units of 2^-64 turn
/// in fp32, every sign one rounding.
struct Schedule {
  enum class Kind { constant, linear, cosine };
  Kind kind = Kind::cosine;
  std::uint64_t warmup = 0, steps = 0;  ///< both below 2^32

  float rate(std::uint64_t step, float peak) const;
};

}  // namespace volt::lm
