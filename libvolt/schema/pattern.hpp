// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace volt::schema {

/// Segments of a path, at most; what lies deeper has no name that a pattern could match.
inline constexpr std::size_t max_depth = 64;

/// Names files: segments as in fnmatch(3) with '/' between them, a leading dot matched only by a
/// dot, and "**" for any number of folders. It is compared segment by segment, so that a walk can
/// leave out folders in which nothing can match.
class Pattern {
 public:
  /// Where a path so far may have got: bit k for k segments of the pattern that are left.
  using Reached = std::bitset<max_depth + 2>;

  explicit Pattern(std::string_view text);

  Reached start() const;
  Reached after(const Reached& before, const char* name) const;
  static bool is_named(const Reached& reached) { return reached[0]; }
  static bool may_go_on(const Reached& reached) { return (reached >> 1).any(); }

 private:
  Reached without_folders(Reached reached) const;
  std::vector<std::string> segments_;  ///< the last one first
};

/// Whether the relative `path` is named by `pattern`.
bool matches(std::string_view pattern, std::string_view path);

}  // namespace volt::schema
