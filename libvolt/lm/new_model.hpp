// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "libvolt/lm/architecture.hpp"
#include "libvolt/lm/folder.hpp"

namespace volt::lm {

/// The folder of a model that has no weights yet: config.json, and a tokenizer's files. What reads
/// a base reads it as well.
class NewModel {
 public:
  /// `architecture` but for vocabulary, bos and eos, which are the tokenizer's; `tokenizer` are the
  /// files of one, which must outlive it, or none: tokens are then bytes, with <bos> and <eos>.
  /// Throws Error: not_found (a folder without tokenizer.json), usage (one that volt does not read,
  /// or an architecture that config.json cannot describe).
  NewModel(Architecture architecture, const Files& tokenizer);

  Files files() const;

 private:
  Files tokenizer_;  ///< as given
  std::map<std::string, std::string> made_;
};

}  // namespace volt::lm
