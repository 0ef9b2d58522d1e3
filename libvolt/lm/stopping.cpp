// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/stopping.hpp"

namespace volt::lm {

std::string Stopping::after(const EvalTold& told) {
  ++units_;
  const double loss = told.loss;
  const bool better = told.finite && loss < best_ - rule_.min_delta;
  if (better) best_ = loss;
  not_better_ = better ? 0 : not_better_ + 1;
  const bool regressing = !told.finite || loss > before_;
  before_ = loss;
  if (rule_.patience != 0 && not_better_ >= rule_.patience) {
    return "held-out loss has not fallen for " + std::to_string(not_better_) +
           (not_better_ == 1 ? " unit" : " units");
  }
  if (rule_.confidence && !regressing && double{told.confidence} >= *rule_.confidence) {
    return "mean confidence is " + std::to_string(told.confidence);
  }
  return {};
}

std::optional<std::uint64_t> Stopping::published() const {
  if (rule_.patience == 0 || not_better_ == units_) return std::nullopt;
  return units_ - not_better_;
}

}  // namespace volt::lm
