// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/velvet.hpp"

#include <algorithm>
#include <cmath>

namespace volt::lm {
namespace {

constexpr float kept = 0.98F;
constexpr float least_scale = 0.7F, most_scale = 1.3F;
constexpr float beta1_per_nat = 0.05F, least_beta1 = 0.8F, most_beta1 = 0.95F;

}  // namespace

Velvet::Velvet(Parts parts, std::uint64_t warmup, std::uint64_t steps)
    : parts_(parts),
      reference_(static_cast<std::uint32_t>(
          std::max<std::uint64_t>(1, std::min(std::max<std::uint64_t>(10, warmup), steps / 10)))) {}

float Velvet::rate(float scheduled) const {
  if (!parts_.rate || !adapts() || !(averages.first_entropy > 0)) return scheduled;
  const float present = averages.entropy / (1 - averages.weight);
  return scheduled * std::clamp(present / averages.first_entropy, least_scale, most_scale);
}

float Velvet::beta1(float usual) const {
  if (!parts_.beta1 || !adapts()) return usual;
  const float present = averages.loss / (1 - averages.weight);
  return std::clamp(usual + beta1_per_nat * (averages.first_loss - present), least_beta1,
                    most_beta1);
}

void Velvet::take(float loss, float entropy) {
  if (!std::isfinite(loss) || !std::isfinite(entropy)) return;
  auto& a = averages;
  a.weight = kept * a.weight;
  a.entropy = kept * a.entropy + (1 - kept) * entropy;
  a.loss = kept * a.loss + (1 - kept) * loss;
  if (++a.taken != reference_) return;
  a.first_entropy = a.entropy / (1 - a.weight);
  a.first_loss = a.loss / (1 - a.weight);
}

}  // namespace volt::lm
