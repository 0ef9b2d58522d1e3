// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace volt::lm {

/// Rotary position embedding: at position p the pair i of a head (elements i and i + head_width/2)
/// is turned by p * turn_i (Su et al. 2021, arXiv 2104.09864, section 3.4.2).
struct Rope {
  enum class Scaling { none, linear, llama3 };

  double theta = 10000;  ///< 2 to 1e12
  Scaling scaling = Scaling::none;

  double factor = 1;  ///< linear, llama3: 1 to 1e6
  /// llama3 alone: 0.001 to 1e6, and high above low.
  double low_freq_factor = 1, high_freq_factor = 4;
  std::uint64_t original_context = 0;  ///< llama3: positions in pretraining, at most 2^32

  bool operator==(const Rope&) const = default;
};

/// turn_i for i < head_width/2, in 2^-64 of a full turn: round(2^64 * t_i), where
///
///   none    t = theta^(-2i/head_width) / (2 pi)
///   linear  t / factor: positions are interpolated (Chen et al. 2023, arXiv 2306.15595)
///   llama3  with c = t * original_context, the turns within the context of pretraining:
///             c > high_freq_factor: t;    c < low_freq_factor: t / factor;    between them
///             (1 - s) * t / factor + s * t,  s = (c - low) / (high - low)
///           (Llama 3.1's reference code; `llama3` in transformers' modeling_rope_utils.py)
///
/// Made of integers alone, so that every host has the same bits. t is off by less than 2^-100
/// before the one rounding, and cannot lie halfway between two results, for pi is transcendental.
/// Angles in float32, which transformers uses, differ: by 4e-3 of a radian at position 131,071.
///
/// `rope` must keep to the ranges above; `head_width` is even, 2 to 4096.
std::vector<std::uint64_t> turns(const Rope& rope, std::uint64_t head_width);

}  // namespace volt::lm
