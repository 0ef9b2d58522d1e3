// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/schedule.hpp"

#include <algorithm>

#include "kernels/exact.hpp"

namespace volt::lm {

float Schedule::rate(std::uint64_t step, float peak) const {
  if (step < warmup) return peak * (static_cast<float>(step + 1) / static_cast<float>(warmup));
  if (kind == Kind::constant) return peak;
  const std::uint64_t all = std::max<std::uint64_t>(1, steps - std::min(steps, warmup));
  const std::uint64_t past = std::min(step - warmup, all);
  if (kind == Kind::linear) {
    return peak * (static_cast<float>(all - past) / static_cast<float>(all));
  }
  __extension__ using Wide = unsigned __int128;
  const auto turns = static_cast<std::uint64_t>((static_cast<Wide>(past) << 63) / all);
  return peak * (0.5F * (1.0F + kernels::cos_turns(turns)));
}

}  // namespace volt::lm
