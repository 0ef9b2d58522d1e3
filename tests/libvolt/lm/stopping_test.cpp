// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/stopping.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace volt::lm {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

EvalTold told(float loss, float confidence = 0) {
  return {loss, confidence, 0, 1, std::isfinite(loss)};
}

/// After which of the units, from 1, it ends; 0: after none.
std::size_t end(const schema::StopRule& rule, const std::vector<EvalTold>& units) {
  Stopping stopping(rule);
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (!stopping.after(units[i]).empty()) return i + 1;
  }
  return 0;
}

std::size_t end(const schema::StopRule& rule, const std::vector<float>& losses) {
  std::vector<EvalTold> units;
  for (const float loss : losses) units.push_back(told(loss));
  return end(rule, units);
}

}  // namespace

TEST_CASE("a training ends when its loss has not fallen for so many units in a row") {
  CHECK(end({2, 0, {}}, {5.0F, 4, 3, 2, 1}) == 0);
  CHECK(end({2, 0, {}}, {5.0F, 4, 4, 3, 3, 3}) == 6);
  CHECK(end({2, 0, {}}, {5.0F, 6, 4, 6, 6}) == 5);
  CHECK(end({1, 0, {}}, {5.0F, 5}) == 2);  // as much is not less
  CHECK(end({3, 0, {}}, {5.0F, 6, 6}) == 0);
}

TEST_CASE("a loss is better by more than min_delta than the last better one") {
  CHECK(end({2, 1, {}}, {5.0F, 4, 4}) == 3);        // by 1: not by more
  CHECK(end({2, 1, {}}, {5.0F, 4.5F, 3.5F}) == 0);  // small steps add up
  CHECK(end({2, 1, {}}, {5.0F, 4.5F, 4.25F}) == 3);
}

TEST_CASE("with patience the state that was the best is published") {
  const auto published = [](const schema::StopRule& rule, const std::vector<float>& losses) {
    Stopping stopping(rule);
    for (const float loss : losses) stopping.after(told(loss));
    return stopping.published();
  };
  CHECK(published({2, 0, {}}, {5.0F, 3, 4, 4}) == 2);
  CHECK(published({2, 0, {}}, {5.0F, 3, 2}) == 3);
  CHECK(published({9, 0, {}}, {5.0F, 3, 4, 3}) == 2);
  CHECK(published({9, 1, {}}, {5.0F, 4.5F, 4.2F}) == 1);  // not better by min_delta
  CHECK_FALSE(published({9, 0, {}}, {nan, nan}).has_value());
  CHECK_FALSE(published({9, 0, {}}, {}).has_value());
  CHECK_FALSE(published({0, 0, 0.5}, {5.0F, 3, 4}).has_value());
}

TEST_CASE("a loss that is not finite is not better") {
  CHECK(end({2, 0, {}}, {nan, infinity}) == 2);
  CHECK(end({2, 0, {}}, {nan, 5, nan, 4}) == 0);
  CHECK(end({2, 0, {}}, {5.0F, -infinity, nan}) == 3);
}

TEST_CASE("a training ends when confidence is high enough and the loss has not risen") {
  const schema::StopRule rule{0, 0, 0.75};
  CHECK(end(rule, {told(2, 0.5F), told(1, 0.75F)}) == 2);
  CHECK(end(rule, {told(2, 0.8F)}) == 1);
  CHECK(end(rule, {told(1, 0.5F), told(2, 0.8F), told(2, 0.8F)}) == 3);
  CHECK(end(rule, {told(nan, 0.8F), told(infinity, 0.8F), told(3, nan)}) == 0);
  CHECK(end(rule, {told(nan, 0.8F), told(3, 0.8F)}) == 2);
}

TEST_CASE("why a training ends is told") {
  Stopping one({1, 0, 0.5}), two({2, 0, {}});
  for (auto* stopping : {&one, &two}) CHECK(stopping->after(told(1)).empty());
  CHECK(one.after(told(2)) == "held-out loss has not fallen for 1 unit");
  CHECK(two.after(told(2)).empty());
  CHECK(two.after(told(2)) == "held-out loss has not fallen for 2 units");
  CHECK(Stopping({0, 0, 0.5}).after(told(1, 0.625F)) == "mean confidence is 0.625000");
}

}  // namespace volt::lm
