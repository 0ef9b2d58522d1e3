// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "libvolt/doc/fields.hpp"
#include "libvolt/run/attempt.hpp"
#include "libvolt/run/worker.hpp"

namespace volt::run {

/// What all runs of language models have in common: a worker is handed inputs and unfinished
/// outputs, and pages of the first of these are journalled, so that it can go on behind them.
class ModelRun {
 public:
  explicit ModelRun(Attempt& attempt);

  /// Has a worker do a task; `hear` is called with each of its messages.
  Ending have(std::string_view task, const std::function<void(const doc::Value&)>& hear);
  /// Journals the pages that a message tells, of at most `most` in all.
  void take_pages(doc::Fields& message, std::uint64_t most);
  /// A receipt but for its trace, once the first output is complete with `bytes`: it must be on the
  /// disk as it was journalled, which `what` names. Throws Error (local_io).
  schema::Receipt receipt(const Ending& ending, std::uint64_t bytes, std::string_view what);

 private:
  void check_pages(int fd, std::uint64_t bytes, std::string_view what) const;

  Attempt& attempt_;
  Folder& folder_;
};

}  // namespace volt::run
