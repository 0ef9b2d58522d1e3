// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "libvolt/lm/training.hpp"
#include "libvolt/schema/finetune.hpp"

namespace volt::lm {

/// Whether a training ends before its last step: a pure function of its rule and of what the
/// held-out samples told after each unit, from the first on.
///
/// patience    A loss is better if it is finite and less than the last better one by more than
///             min_delta; the first finite one is. The training ends when that many units in a row
///             have not been better.
/// confidence  It ends when the mean confidence is at least this, and the loss is finite and not
///             above that of the unit before.
///
/// With patience the outputs are those of the last unit that was better, wherever it ended.
class Stopping {
 public:
  explicit Stopping(const schema::StopRule& rule) : rule_(rule) {}

  /// Takes what the next unit told. Returns why the training ends after it ("held-out loss has not
  /// fallen for 3 units"); empty when it goes on.
  std::string after(const EvalTold& told);
  /// The unit, from 1, whose state gives the outputs; none: the last one's.
  std::optional<std::uint64_t> published() const;

 private:
  const schema::StopRule rule_;
  double best_ = std::numeric_limits<double>::infinity();
  double before_ = std::numeric_limits<double>::infinity();
  std::uint64_t units_ = 0, not_better_ = 0;
};

}  // namespace volt::lm
