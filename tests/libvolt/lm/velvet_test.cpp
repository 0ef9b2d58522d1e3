// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/velvet.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

namespace volt::lm {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// After a reference of ten steps that all told the same.
Velvet settled(float loss, float entropy) {
  Velvet velvet({}, 0, 1000);
  for (int i = 0; i < 10; ++i) velvet.take(loss, entropy);
  return velvet;
}

}  // namespace

TEST_CASE("velvet is AdamW until its reference is known, and at the reference") {
  Velvet velvet({}, 0, 1000);
  for (int i = 0; i < 10; ++i) {
    CHECK(velvet.rate(0.3F) == 0.3F);
    CHECK(velvet.beta1(0.9F) == 0.9F);
    // What is told changes wildly: nothing follows it yet.
    velvet.take(static_cast<float>(i), static_cast<float>(10 - i));
  }
  CHECK(velvet.averages.taken == 10);
  CHECK(velvet.rate(0.3F) == 0.3F);
  CHECK(velvet.beta1(0.9F) == 0.9F);
  velvet.take(1, 1);
  CHECK(velvet.rate(0.3F) < 0.3F);
  CHECK(velvet.beta1(0.9F) > 0.9F);
}

TEST_CASE("the reference is as long as the warm-up, at least ten steps, at most a tenth of all") {
  const auto reference = [](std::uint64_t warmup, std::uint64_t steps) {
    Velvet velvet({}, warmup, steps);
    while (velvet.averages.first_loss == 0) velvet.take(1, 1);
    return velvet.averages.taken;
  };
  CHECK(reference(0, 1000) == 10);
  CHECK(reference(30, 1000) == 30);
  CHECK(reference(200, 1000) == 100);
  CHECK(reference(0, 60) == 6);
  CHECK(reference(5, 3) == 1);
}

TEST_CASE("averages have the weights of the steps taken, not of steps that never were") {
  Velvet velvet({}, 0, 1000);
  for (int i = 0; i < 40; ++i) {
    velvet.take(2.5F, 1.5F);
    CHECK(velvet.averages.loss / (1 - velvet.averages.weight) == doctest::Approx(2.5F));
    CHECK(velvet.averages.entropy / (1 - velvet.averages.weight) == doctest::Approx(1.5F));
  }
  // After a long past 50 steps leave 0.98^50 of it.
  velvet = settled(3, 3);
  for (int i = 0; i < 5000; ++i) velvet.take(3, 3);
  for (int i = 0; i < 50; ++i) velvet.take(2, 2);
  CHECK(velvet.averages.loss == doctest::Approx(2 + 0.3642).epsilon(0.0005));
}

TEST_CASE("the rate follows entropy, once, and not far") {
  // Whatever loss or vocabulary a model has, it begins in the middle, not at an end of the range.
  for (const float entropy : {0.02F, 1.5F, 11.7F}) CHECK(settled(1, entropy).rate(1) == 1);
  auto velvet = settled(1, 2);
  velvet.take(1, 1.9F);
  const float ratio = velvet.averages.entropy / (1 - velvet.averages.weight) / 2;
  CHECK(ratio > 0.9F);
  CHECK(velvet.rate(0.5F) == doctest::Approx(0.5F * ratio));
  for (int i = 0; i < 1000; ++i) velvet.take(1, 0.1F);
  CHECK(velvet.rate(0.5F) == 0.5F * 0.7F);
  for (int i = 0; i < 1000; ++i) velvet.take(1, 50);
  CHECK(velvet.rate(0.5F) == 0.5F * 1.3F);
  // A model that is certain of all has nothing to compare with.
  auto certain = settled(1, 0);
  certain.take(1, 1);
  CHECK(certain.rate(0.5F) == 0.5F);
}

TEST_CASE("beta1 never passes 0.95 or 0.8, and moves alike both ways") {
  for (const float loss : {0.01F, 1.0F, 3.5F, 12.0F}) {
    auto velvet = settled(loss, 1);
    CHECK(velvet.beta1(0.9F) == 0.9F);
    for (int i = 0; i < 2000; ++i) {
      velvet.take(0, 1);
      CHECK(velvet.beta1(0.9F) <= 0.95F);
    }
    for (int i = 0; i < 2000; ++i) velvet.take(100, 1);
    CHECK(velvet.beta1(0.9F) == 0.8F);
  }
  auto down = settled(2, 1), up = settled(2, 1);
  for (int i = 0; i < 5; ++i) {
    down.take(1.5F, 1);
    up.take(2.5F, 1);
  }
  CHECK(down.beta1(0.9F) > 0.901F);
  CHECK(down.beta1(0.9F) - 0.9F == doctest::Approx(0.9F - up.beta1(0.9F)).epsilon(0.001));
}

TEST_CASE("what is not finite changes no average") {
  auto velvet = settled(2, 1);
  const auto before = velvet.averages;
  for (const float bad : {nan, infinity, -infinity}) {
    velvet.take(bad, 1);
    velvet.take(1, bad);
  }
  CHECK(velvet.averages == before);
}

TEST_CASE("each part can be left out, and without both it is AdamW") {
  const auto after = [](Velvet::Parts parts) {
    Velvet velvet(parts, 0, 100);
    for (int i = 0; i < 10; ++i) velvet.take(3, 3);
    for (int i = 0; i < 100; ++i) velvet.take(1, 1);
    return velvet;
  };
  CHECK(after({true, false}).rate(1) == 0.7F);
  CHECK(after({true, false}).beta1(0.9F) == 0.9F);
  CHECK(after({false, true}).rate(1) == 1);
  CHECK(after({false, true}).beta1(0.9F) == 0.95F);
  CHECK(after({false, false}).rate(1) == 1);
  CHECK(after({false, false}).beta1(0.9F) == 0.9F);
}

}  // namespace volt::lm
