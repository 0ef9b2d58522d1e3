// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/render.hpp"

#include <cstdio>

namespace volt::cli {
namespace {

std::string padded(std::string_view text, std::size_t width) {
  std::string result(text);
  if (result.size() < width) result.resize(width, ' ');
  return result + "  ";
}

}  // namespace

std::string to_text(const schema::Verdict& verdict) {
  std::string text;
  for (const auto& claim : verdict.claims) {
    text += padded(claim.name, 9) + padded(schema::to_text(claim.answer), 11) + claim.why + "\n";
  }
  if (verdict.whole > 0) {
    char cost[96];
    std::snprintf(cost, sizeof cost, "%.3g %% of the job's %.3g multiply-adds",
                  100 * verdict.cost / verdict.whole, verdict.whole);
    text += padded("cost", 9) + cost + "\n";
  }
  for (const auto& item : verdict.unproven) text += padded("unproven", 9) + item + "\n";
  return text;
}

}  // namespace volt::cli
