// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "libvolt/lm/token_samples.hpp"

/// "pack/1": which samples are trained on, in which order, and where they lie in the rows of a
/// batch. Every function is pure; the same arguments give the same result for ever.
namespace volt::lm {

/// A permutation of 0 .. count-1, by Fisher and Yates: for i from count-1 down to 1, i changes
/// places with floor(word * (i + 1) / 2^32), where `word` is word i%4 of block
/// epoch * 2^32 + floor(i/4) of the Philox stream (seed, shuffle_stream).
std::vector<std::uint32_t> shuffled(std::uint32_t count, std::uint64_t seed, std::uint32_t epoch);
inline constexpr std::uint32_t shuffle_stream = 32;

/// Which of `count` samples are for training and which are held out, each in rising order.
struct Split {
  std::vector<std::uint32_t> train, eval;
};
/// Holds out ceil(count * millionths / 10^6) samples, the first of a permutation like the one of
/// shuffled(), of stream split_stream and epoch 0. Throws Error (usage) where nothing would be left
/// to train on.
Split split_samples(std::uint32_t count, std::uint32_t millionths, std::uint64_t seed);
inline constexpr std::uint32_t split_stream = 33;

/// Rows of `context` tokens, and which samples each holds, one behind the other from position 0 on.
struct Packing {
  std::uint32_t context = 0;
  std::vector<std::uint32_t> samples;    ///< row by row
  std::vector<std::uint64_t> row_begin;  ///< in `samples`; one more than there are rows
  std::uint64_t tokens = 0;              ///< of all samples

  std::uint64_t rows() const { return row_begin.size() - 1; }
  std::uint64_t padding() const { return rows() * context - tokens; }
  std::span<const std::uint32_t> row(std::uint64_t index) const;
};

/// Packs the samples of `order`, one after the other: each into the fullest of the open rows where
/// it fits, the oldest of equally full ones; where there is none, into a new row, for which, when
/// 64 are open, the fullest, the oldest of equally full ones, is closed. Rows are in the order in
/// which they were opened. Next fit, which keeps one row open, wastes a fifth of the rows where
/// this wastes a hundredth.
Packing pack(const TokenSamples& samples, std::span<const std::uint32_t> order);

}  // namespace volt::lm
