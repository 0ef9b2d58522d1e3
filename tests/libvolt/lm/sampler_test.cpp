// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/sampler.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "libvolt/base/error.hpp"

namespace volt::lm {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
const std::vector<float> logits{1, 3, -2, 3, 0.5F, nan};

}  // namespace

TEST_CASE("without a temperature the largest logit is picked, of equal ones the lowest") {
  CHECK(Sampler{}.next(logits, 0, 0) == 1);
  CHECK(Sampler{}.next(std::vector<float>{nan, -1, -1}, 0, 9) == 1);
  CHECK_THROWS_AS(Sampler{}.next(std::vector<float>{nan, nan}, 0, 0), Error);
  CHECK_THROWS_AS((Sampler{1, 1, 1}.next(std::vector<float>{nan}, 0, 0)), Error);
}

TEST_CASE("tokens are picked as often as their probability says") {
  for (const float temperature : {0.5F, 1.0F, 2.0F}) {
    std::map<std::uint32_t, int> picked;
    constexpr int draws = 40'000;
    for (int i = 0; i < draws; ++i) {
      ++picked[Sampler{temperature, 1, 7}.next(logits, 2, static_cast<std::uint64_t>(i))];
    }
    double all = 0;
    for (std::size_t t = 0; t < 5; ++t) all += std::exp(double{logits[t]} / temperature);
    for (std::uint32_t t = 0; t < 5; ++t) {
      const double p = std::exp(double{logits[t]} / temperature) / all;
      CHECK(std::abs(picked[t] / double{draws} - p) < 4 * std::sqrt(p / draws) + 1e-9);
    }
    CHECK(picked.count(5) == 0);
  }
}

TEST_CASE("top_p leaves the likeliest tokens that reach it, and at least one") {
  std::map<std::uint32_t, int> picked;
  for (std::uint64_t i = 0; i < 2000; ++i) ++picked[Sampler{1, 0.8F, 3}.next(logits, 0, i)];
  CHECK(picked.size() == 2);  // the two of logit 3 have 0.84 together
  CHECK(picked.count(1) == 1);
  CHECK(picked.count(3) == 1);
  for (std::uint64_t i = 0; i < 50; ++i) CHECK(Sampler{1, 1e-6F, 3}.next(logits, 0, i) == 1);
}

TEST_CASE("a draw follows from seed, text and position alone") {
  std::string one, two, other, other_text;
  for (std::uint64_t i = 0; i < 64; ++i) {
    one += std::to_string(Sampler{1, 1, 5}.next(logits, 0, i));
    two += std::to_string(Sampler{1, 1, 5}.next(logits, 0, i));
    other += std::to_string(Sampler{1, 1, 6}.next(logits, 0, i));
    other_text += std::to_string(Sampler{1, 1, 5}.next(logits, 1, i));
  }
  CHECK(one == two);
  CHECK(one != other);
  CHECK(one != other_text);
}

TEST_CASE("logits too large to be compared by their exponentials give the likeliest token") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(Sampler{1, 1, 1}.next(std::vector<float>{0, infinity, 5}, 0, 0) == 1);
  CHECK(Sampler{0.01F, 1, 1}.next(std::vector<float>{0, 1e38F, 1e38F}, 0, 0) == 1);
  CHECK(Sampler{1, 1, 1}.next(std::vector<float>{-infinity, -infinity}, 0, 0) == 0);
}

}  // namespace volt::lm
