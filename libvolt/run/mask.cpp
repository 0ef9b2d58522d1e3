// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/mask.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "libvolt/base/text.hpp"

namespace volt::run {
namespace {

/// A shorter line, such as a brace, is in many places where it tells nothing.
constexpr std::size_t min_line_bytes = 8;

std::string_view without_line_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of("\r\n") + 1);
}

std::uint8_t byte(char c) { return static_cast<std::uint8_t>(c); }

}  // namespace

Mask::Mask(const std::vector<std::string>& secrets) {
  const auto count = [&](std::string_view secret) {
    secrets_[byte(secret.front())].emplace_back(secret);
  };
  for (const auto& secret : secrets) {
    const auto whole = without_line_end(secret);
    if (!whole.empty()) count(whole);
    if (whole.find('\n') == std::string_view::npos) continue;
    for (const auto piece : split(whole, '\n')) {
      const auto line = without_line_end(piece);
      if (line.size() >= min_line_bytes) count(line);
    }
  }
  for (auto& alike : secrets_) {
    std::sort(alike.begin(), alike.end(),
              [](const auto& a, const auto& b) { return a.size() > b.size(); });
  }
}

std::string Mask::add(std::string_view piece) {
  if (held_.empty()) return mask(piece, false);
  const std::string text = std::exchange(held_, {}).append(piece);
  return mask(text, false);
}

std::string Mask::flush() {
  const std::string text = std::exchange(held_, {});
  return mask(text, true);
}

std::string Mask::mask(std::string_view text, bool last) {
  std::string masked;
  std::size_t done = 0;  // what lies before is in `masked`
  for (std::size_t at = 0; at < text.size();) {
    const auto& alike = secrets_[byte(text[at])];
    const auto rest = text.substr(at);
    // The first that matches is the longest, and one that may still match is longer than all after.
    const auto secret = std::find_if(alike.begin(), alike.end(), [&](const auto& candidate) {
      return rest.starts_with(candidate) || (!last && candidate.starts_with(rest));
    });
    if (secret == alike.end()) {
      ++at;
      continue;
    }
    masked += text.substr(done, at - done);
    if (secret->size() > rest.size()) {
      held_ = rest;
      return masked;
    }
    masked += "***";
    at += secret->size();
    done = at;
  }
  return masked += text.substr(done);
}

}  // namespace volt::run
