// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/replay.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/proof/small.hpp"

using namespace volt;
using namespace volt::proof;

namespace {

std::optional<Mismatch> all(const Small& s) {
  NullSink sink;
  workload::Product product(s.geometry, s.a, s.b, Small::device());
  return replay_all(s.geometry, product, s.c, sink, {});
}

std::optional<Mismatch> some(const Small& s, std::vector<std::uint64_t> units) {
  NullSink sink;
  workload::Product product(s.geometry, s.a, s.b, Small::device());
  return replay_units(s.geometry, product, s.c, units, sink, {});
}

}  // namespace

TEST_CASE("a right product is replayed without a finding, by units and whole") {
  for (const char* profile : {"f32x", "i8x", "i8"}) {
    for (const char form : {'n', 'a', 'b'}) {
      const Small s(profile, form, 9, 13, 150);
      std::vector<std::uint64_t> units(s.geometry.units());
      std::iota(units.begin(), units.end(), std::uint64_t{0});
      CAPTURE(profile);
      CAPTURE(form);
      CHECK_FALSE(all(s));
      CHECK_FALSE(some(s, units));
    }
  }
  CHECK_FALSE(all(Small("f32x", 'n', 0, 5, 5)));
  CHECK_FALSE(all(Small("i8x", 'n', 5, 5, 0)));
}

TEST_CASE("a wrong element is found, exactly where it is") {
  for (const char* profile : {"f32x", "i8x", "i8"}) {
    for (const char form : {'n', 'a', 'b'}) {
      Small s(profile, form, 5, 7, 140);
      for (std::uint64_t unit = 0; unit < s.geometry.units(); ++unit) {
        s.c[4 * unit] ^= 1;  // the last bit
        const auto whole = all(s);
        REQUIRE(whole);
        CHECK(whole->row == unit / 7);
        CHECK(whole->col == unit % 7);
        const auto one = some(s, {unit});
        REQUIRE(one);
        CHECK(one->row == unit / 7);
        CHECK(one->col == unit % 7);
        CHECK(one->claimed != one->right);
        if (unit > 0) CHECK_FALSE(some(s, {unit - 1}));
        s.c[4 * unit] ^= 1;
      }
    }
  }
}

TEST_CASE("rows beyond the first step of a replay are looked at too") {
  Small s("i8", 'n', 70'000, 1, 1);  // more than the 65,536 rows of a step
  s.c[4 * 69'999 + 3] ^= 0x80;
  const auto found = all(s);
  REQUIRE(found);
  CHECK(found->row == 69'999);
}

TEST_CASE("bits are compared, not values") {
  workload::Geometry g;
  g.m = g.n = 2;
  g.profile = "f32x";
  const auto bytes = [](std::uint32_t bits) {
    Bytes b(4);
    std::memcpy(b.data(), &bits, 4);
    return b;
  };
  CHECK(compare(g, 3, bytes(0x80000000).data(), bytes(0).data()));           // -0 and +0
  CHECK(compare(g, 3, bytes(0x7fc00001).data(), bytes(0x7fc00000).data()));  // two NaNs
  CHECK_FALSE(compare(g, 3, bytes(0x7fc00000).data(), bytes(0x7fc00000).data()));
  const auto mismatch = compare(g, 3, bytes(0x3fc00000).data(), bytes(0x3fa00000).data());
  REQUIRE(mismatch);
  CHECK(to_text(*mismatch) == "C[1, 1] is 1.5 (0x3fc00000), not 1.25 (0x3fa00000)");
  g.profile = "i8";
  CHECK(to_text(*compare(g, 1, bytes(0xffffffff).data(), bytes(7).data())) ==
        "C[0, 1] is -1, not 7");
}

TEST_CASE("a replay stops when asked to") {
  const Small s("f32x", 'n', 3, 3, 3);
  std::stop_source stop;
  stop.request_stop();
  NullSink sink;
  workload::Product product(s.geometry, s.a, s.b, Small::device());
  CHECK_THROWS_AS(replay_all(s.geometry, product, s.c, sink, stop.get_token()), Error);
  const std::uint64_t unit = 0;
  CHECK_THROWS_AS(replay_units(s.geometry, product, s.c, {&unit, 1}, sink, stop.get_token()),
                  Error);
}
