// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/network.hpp"

namespace volt::lm {

/// How tokens are drawn, as kernels::Draw defines it. The token at position i of a text has its u
/// from word i % 4 of block text * 2^32 + i / 4 of the stream (seed, sampling_stream): no draw
/// depends on what other texts have become.
struct Sampler {
  float temperature = 0;
  float top_p = 1;
  std::uint64_t seed = 1;

  /// The draw of tokens from `position` of a text on, one by each row of logits, to `tokens`,
  /// [rows, 1]. Texts are fewer than 2^30.
  kernels::Draw<kernels::Given> draw(const kernels::Matrix& logits, std::uint64_t text,
                                     std::uint64_t position, const kernels::Matrix& tokens) const;
};

/// A token that was drawn. Throws Error (answer_is_no) if it is kernels::no_token.
std::uint32_t some_token(std::uint32_t drawn);

inline constexpr std::uint32_t sampling_stream = 34;

}  // namespace volt::lm
