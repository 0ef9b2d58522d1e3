// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "libvolt/base/event.hpp"

namespace volt::cli {

/// "product: 1200 of 4096 rows (29 %), 310 rows/s, 9.3 s left", at most `width` columns: what is at
/// the end goes first, but of what stands beside the work the last before the time left. `since` is
/// how much was done when `elapsed` began, as a resumed run does not start at 0.
std::string progress_text(const Progress& progress, std::uint64_t since,
                          std::chrono::nanoseconds elapsed, std::size_t width);

/// Decides when a piece of work is shown: the first time `first` after it began, then every
/// `interval`. Time is handed in, so that tests need not wait.
class Meter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Meter(std::chrono::nanoseconds first, std::chrono::nanoseconds interval)
      : first_(first), interval_(interval) {}

  /// Takes note of `progress`; true when it is to be shown now. New work begins when `what`
  /// changes or `done` falls.
  bool due(const Progress& progress, Time now);
  /// Whether `progress` is other work than that noted last.
  bool begins(const Progress& progress) const;

  std::uint64_t since() const { return since_; }
  std::chrono::nanoseconds elapsed(Time now) const { return now - begin_; }

 private:
  std::chrono::nanoseconds first_, interval_;
  std::optional<std::string> what_;
  std::uint64_t since_ = 0, last_ = 0;
  Time begin_, next_;
};

}  // namespace volt::cli
