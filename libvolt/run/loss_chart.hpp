// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace volt::run {

/// The losses of a training, in nats per token; one that is not finite is NaN.
struct Losses {
  struct Eval {
    std::uint64_t step;  ///< how many were taken before
    float loss;
  };
  std::vector<float> train;  ///< of each step
  std::vector<Eval> eval;
};

/// Steps from which on a mean is drawn over the train line, of `steps / mean_share` steps each.
inline constexpr std::uint64_t least_smoothed = 60, mean_share = 25;

/// An SVG of 640 by 400: the loss of each step and of the held-out samples over the steps taken,
/// which is a function of these losses alone, to the byte. What is not finite is a gap. Of many
/// steps the least and the greatest of each pixel are drawn, so that it stays below 100 kB. In
/// light or dark colours, as whoever looks at it prefers; no scripts, nothing from elsewhere.
std::string loss_chart(const Losses& losses);

}  // namespace volt::run
