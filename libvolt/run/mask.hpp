// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace volt::run {

/// Replaces secrets by "***" in a stream, also where a secret is cut between two pieces; of several
/// at one place the longest. Line ends at the end of a secret do not belong to it. Of a secret of
/// several lines each line counts as well, if it has eight bytes or more.
class Mask {
 public:
  explicit Mask(const std::vector<std::string>& secrets);

  /// The next piece of the stream, masked. What may be the beginning of a secret is held back for
  /// the next call; nothing is, without secrets.
  std::string add(std::string_view piece);
  /// What is still held back. To be called at the end, and when the stream pauses (a prompt must
  /// not wait for more).
  std::string flush();

 private:
  std::string mask(std::string_view text, bool last);

  std::array<std::vector<std::string>, 256> secrets_;  ///< by the first byte; longest first
  std::string held_;
};

}  // namespace volt::run
