// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/exact.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/lm/sum.hpp"

namespace volt::lm {
namespace {

[[noreturn]] void no_token() {
  throw Error(Exit::answer_is_no, "the model gives no token a probability: its logits are NaN");
}

std::uint32_t largest(std::span<const float> logits) {
  constexpr auto none = std::numeric_limits<std::size_t>::max();
  std::size_t best = none;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == logits[i] && (best == none || logits[i] > logits[best])) best = i;
  }
  if (best == none) no_token();
  return static_cast<std::uint32_t>(best);
}

}  // namespace

std::uint32_t Sampler::next(std::span<const float> logits, std::uint64_t text,
                            std::uint64_t position) const {
  const std::uint32_t likeliest = largest(logits);
  const float m = logits[likeliest] / temperature;
  if (temperature == 0 || !std::isfinite(m)) return likeliest;
  std::vector<float> p(logits.size());
  for (std::size_t i = 0; i < p.size(); ++i) {
    p[i] = logits[i] == logits[i] ? kernels::exp(logits[i] / temperature - m) : 0.0F;
  }
  const float inverse = 1.0F / sum128(p.size(), [&](std::size_t i) { return p[i]; });
  for (float& value : p) value = value * inverse;

  std::vector<std::uint32_t> order(p.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  float all = 0;
  std::size_t kept = 0;
  while (kept < order.size() && (kept == 0 || all < top_p)) all += p[order[kept++]];
  const auto block = kernels::random_block(seed, sampling_stream, (text << 32) + position / 4);
  const float u = static_cast<float>(block.word[position % 4] >> 8) * 0x1p-24F;
  float sum = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    sum += p[order[i]];
    if (sum > u * all) return order[i];
  }
  return order[kept - 1];  // u * all rounded up to all
}

}  // namespace volt::lm
