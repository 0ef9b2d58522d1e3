// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace volt::lm {

/// Picks the next token (numerics contract, section 7). Without a temperature the one with the
/// largest logit, of equal ones the lowest; so too where m below is not finite. Else, with
/// z = logit / temperature and m the largest z:
/// e = exp(z - m), p = e * (1 / sum128(e)); tokens in the order of p, largest first, of equal ones
/// the lowest first, are taken until their p, added one by one in fp32, reach top_p; and of them
/// the first at which that sum exceeds u times all of it. u is the upper 24 bits of word i % 4 of
/// block text * 2^32 + i / 4 of the Philox stream (seed, sampling_stream), times 2^-24, for the
/// token at position i of its text: no draw depends on what other texts have become.
struct Sampler {
  float temperature = 0;
  float top_p = 1;
  std::uint64_t seed = 1;

  /// A logit that is NaN is never picked. Throws Error (answer_is_no) if all are.
  std::uint32_t next(std::span<const float> logits, std::uint64_t text,
                     std::uint64_t position) const;
};

inline constexpr std::uint32_t sampling_stream = 34;

}  // namespace volt::lm
