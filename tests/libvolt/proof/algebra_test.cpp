// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/algebra.hpp"

#include <doctest/doctest.h>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/proof/small.hpp"
#include "tests/libvolt/schema/sample.hpp"

using namespace volt;
using namespace volt::proof;

namespace {

std::optional<std::uint64_t> wrong_row(const Small& s, const std::string& seed = "seed") {
  NullSink sink;
  return freivalds(s.geometry, s.a, s.b, s.c, digest_of(seed), Small::device(), sink, {});
}

std::int32_t element(const Small& s, std::uint64_t unit) {
  std::int32_t value = 0;
  std::memcpy(&value, s.c.data() + 4 * unit, 4);
  return value;
}

void put(Small& s, std::uint64_t unit, std::int32_t value) {
  std::memcpy(s.c.data() + 4 * unit, &value, 4);
}

}  // namespace

TEST_CASE("right products pass, whatever their shape and form") {
  const std::uint64_t shapes[][3] = {{1, 1, 1},     {1, 9, 5},    {9, 1, 5},      {5, 9, 1},
                                     {17, 33, 129}, {64, 64, 64}, {3, 5, 2000},   {0, 4, 3},
                                     {4, 0, 3},     {4, 3, 0},    {1, 20'000, 1}, {1, 1, 70'000}};
  for (const auto& [m, n, k] : shapes) {
    for (const char form : {'n', 'a', 'b'}) {
      const auto shown_m = m;
      CAPTURE(shown_m);
      const auto shown_n = n;
      CAPTURE(shown_n);
      const auto shown_k = k;
      CAPTURE(shown_k);
      CAPTURE(form);
      CHECK_FALSE(wrong_row(Small("i8", form, m, n, k)));
    }
  }
}

TEST_CASE("the longest sums of the extremes pass and are exact") {
  for (const auto& [x, y] : {std::pair{-128, -128}, {-128, 127}, {127, 127}, {-1, -128}}) {
    Small s("i8", 'n', 2, 3, 131'071);
    std::fill(s.a.begin(), s.a.end(), static_cast<std::uint8_t>(x));
    std::fill(s.b.begin(), s.b.end(), static_cast<std::uint8_t>(y));
    s.multiply();
    CHECK(element(s, 0) == x * y * 131'071);
    CHECK_FALSE(wrong_row(s));
    for (const int unit : {0, 4}) {
      put(s, unit, element(s, unit) - 1);
      CHECK(wrong_row(s) == unit / 3);
      put(s, unit, element(s, unit) + 1);
    }
  }
}

TEST_CASE("one element changed anywhere is found in its row") {
  for (const char form : {'n', 'a', 'b'}) {
    Small s("i8", form, 7, 11, 130);
    for (std::uint64_t unit = 0; unit < s.geometry.units(); ++unit) {
      const auto right = element(s, unit);
      for (const std::int64_t wrong :
           {std::int64_t{right} + 1, std::int64_t{right} - 1, std::int64_t{right} ^ INT32_MIN,
            -std::int64_t{right}, ~std::int64_t{right}, std::int64_t{right} ^ 0x10000}) {
        if (wrong == right) continue;
        put(s, unit, static_cast<std::int32_t>(wrong));
        CHECK(wrong_row(s) == unit / s.geometry.n);
      }
      put(s, unit, right);
    }
    CHECK_FALSE(wrong_row(s));
  }
}

TEST_CASE("changes that cancel in a row's or a column's sum are found") {
  Small s("i8", 'n', 6, 8, 40);
  put(s, 9, element(s, 9) + 5);
  put(s, 10, element(s, 10) - 5);
  CHECK(wrong_row(s) == 1);
  put(s, 17, element(s, 17) - 5);
  put(s, 18, element(s, 18) + 5);
  CHECK(wrong_row(s) == 1);
  // Rows and columns exchanged, and the product of the wrong form.
  Small t("i8", 'n', 6, 6, 6);
  std::swap_ranges(t.c.begin(), t.c.begin() + 24, t.c.begin() + 24);
  CHECK(wrong_row(t));
  Small u("i8", 'n', 6, 6, 6);
  u.geometry.transpose_a = true;
  CHECK(wrong_row(u));
}

TEST_CASE("zeros and multiples sold as products are found") {
  Small s("i8", 'n', 6, 8, 40);
  auto t = s;
  t.c.assign(t.c.size(), 0);
  CHECK(wrong_row(t));
  for (std::uint64_t unit = 0; unit < 48; ++unit) put(s, unit, 2 * element(s, unit));
  CHECK(wrong_row(s));
}

TEST_CASE("a wrong product is found whatever the seed") {
  Small s("i8", 'b', 4, 4, 16);
  put(s, 13, element(s, 13) + 1);
  for (int i = 0; i < 200; ++i) CHECK(wrong_row(s, std::to_string(i)) == 3);
}

TEST_CASE("the check stops when asked to, and says what it costs") {
  const Small s("i8", 'n', 4, 4, 4);
  std::stop_source stop;
  stop.request_stop();
  NullSink sink;
  CHECK_THROWS_AS(
      freivalds(s.geometry, s.a, s.b, s.c, Digest{}, Small::device(), sink, stop.get_token()),
      Error);
  CHECK(freivalds_multiply_adds(Small("i8", 'n', 2, 3, 5).geometry) == 2 * (15 + 10 + 6));
}
