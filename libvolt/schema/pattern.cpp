// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/pattern.hpp"

#include <fnmatch.h>

#include <algorithm>

#include "libvolt/base/text.hpp"

namespace volt::schema {

Pattern::Pattern(std::string_view text) {
  for (const auto segment : split(text, '/')) segments_.emplace_back(segment);
  if (segments_.back() == "**") segments_.emplace_back("*");  // any file in any number of folders
  if (segments_.size() > max_depth + 1) segments_.clear();
  std::reverse(segments_.begin(), segments_.end());
}

Pattern::Reached Pattern::start() const {
  return segments_.empty() ? Reached() : without_folders(Reached().set(segments_.size()));
}

Pattern::Reached Pattern::after(const Reached& before, const char* name) const {
  Reached reached;
  for (std::size_t left = segments_.size(); left > 0; --left) {
    if (!before[left]) continue;
    const auto& segment = segments_[left - 1];
    if (segment == "**") {
      if (*name != '.') reached.set(left);
    } else if (::fnmatch(segment.c_str(), name, FNM_PERIOD) == 0) {
      reached.set(left - 1);
    }
  }
  return without_folders(reached);
}

/// "**" stands for no folder as well.
Pattern::Reached Pattern::without_folders(Reached reached) const {
  for (std::size_t left = segments_.size(); left > 0; --left) {
    if (reached[left] && segments_[left - 1] == "**") reached.set(left - 1);
  }
  return reached;
}

bool matches(std::string_view pattern, std::string_view path) {
  const Pattern compiled(pattern);
  const auto segments = split(path, '/');
  auto reached = compiled.start();
  for (const auto segment : segments) {
    reached = compiled.after(reached, std::string(segment).c_str());
  }
  return segments.size() <= max_depth && Pattern::is_named(reached);
}

}  // namespace volt::schema
