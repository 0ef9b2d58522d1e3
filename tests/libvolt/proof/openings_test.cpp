// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/openings.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "libvolt/proof/challenge.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/proof/small.hpp"
#include "tests/libvolt/schema/sample.hpp"

using namespace volt;
using namespace volt::proof;

namespace {

/// A proof of some units of a small product.
struct Proof {
  const Small& s;
  std::vector<std::uint64_t> units;
  schema::Receipt receipt;
  schema::ProofHeader header;
  Needed parts;
  Bytes body;

  Proof(const Small& small, std::vector<std::uint64_t> drawn, std::string way_a, std::string way_b)
      : s(small),
        units(std::move(drawn)),
        receipt(s.receipt((way_a == "seed" ? "a" : "") + std::string(way_b == "seed" ? "b" : ""))),
        parts(needed(s.geometry, s.about_a, s.about_b, units)) {
    header.a = way_a;
    header.b = way_b;
    const auto write = [&](ByteView piece) { body.insert(body.end(), piece.begin(), piece.end()); };
    write_opening(parts.c, {s.c, Small::leaves(s.c)}, "pages", write);
    write_opening(parts.a, {s.a, Small::leaves(s.a)}, way_a, write);
    write_opening(parts.b, {s.b, Small::leaves(s.b)}, way_b, write);
  }
  /// "holds", what was found, or why it was refused.
  std::string check(ByteView bytes) const {
    try {
      NullSink sink;
      const Openings openings(receipt, header, parts, bytes,
                              header.a == "seed" ? ByteView(s.a) : ByteView(),
                              header.b == "seed" ? ByteView(s.b) : ByteView());
      const auto mismatch = openings.check(s.geometry, units, Small::device(), sink, {});
      return mismatch ? to_text(*mismatch) : "holds";
    } catch (const Error& error) {
      return error.code() == Exit::verification_failed ? error.message() : "another exit";
    }
  }
};

const char* const profiles[] = {"f32x", "i8x", "i8"};
const char forms[] = {'n', 'a', 'b'};
const char* const ways[] = {"pages", "whole", "seed"};

}  // namespace

TEST_CASE("an opening of any product, by any way, is read as it was written") {
  unsigned seed = 1;
  for (const char* profile : profiles) {
    for (const char form : forms) {
      // C, A and B of one page and of several, with a short last one.
      const std::uint64_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {40, 61, 150}, {70, 40, 0}};
      for (const auto& [m, n, k] : shapes) {
        const Small s(profile, form, m, n, k, ++seed);
        const auto units = drawn_units(digest_of(std::to_string(seed)), 5, s.geometry.units());
        for (const std::string a : ways) {
          for (const std::string b : ways) {
            const Proof proof(s, units, a, b);
            CAPTURE(profile);
            CAPTURE(form);
            const auto shown_k = k;
            CAPTURE(shown_k);
            CAPTURE(a);
            CAPTURE(b);
            CHECK(proof.check(proof.body) == "holds");
            CHECK(proof.body.size() == opening_bytes(proof.parts.c, "pages") +
                                           opening_bytes(proof.parts.a, a) +
                                           opening_bytes(proof.parts.b, b));
          }
        }
      }
    }
  }
}

TEST_CASE("just the pages that hold what the units need are needed") {
  for (const char* profile : profiles) {
    for (const char form : forms) {
      const Small s(profile, form, 37, 61, 333);
      const auto units = drawn_units(digest_of("x"), 4, s.geometry.units());
      const auto parts = needed(s.geometry, s.about_a, s.about_b, units);
      std::set<std::uint64_t> c, a, b;
      const std::uint64_t size = tensor::size_of(s.geometry.input_dtype());
      for (const auto unit : units) {
        c.insert(unit * 4 / 4096);
        const auto row = s.geometry.row_of_a(unit / 61), col = s.geometry.column_of_b(unit % 61);
        for (std::uint64_t i = 0; i < 333; ++i) {
          a.insert((row.first + i * row.step) * size / 4096);
          b.insert((col.first + i * col.step) * size / 4096);
        }
      }
      const auto list = [](const auto& set) {
        return std::vector<std::uint64_t>(set.begin(), set.end());
      };
      CHECK(parts.c.numbers == list(c));
      CHECK(parts.a.numbers == list(a));
      CHECK(parts.b.numbers == list(b));
    }
  }
}

TEST_CASE("pages with steps longer than a page are marked one by one") {
  const Small s("f32x", 'n', 2, 3000, 5);  // a column of B touches every third page
  const std::uint64_t unit = 100;
  const auto parts = needed(s.geometry, s.about_a, s.about_b, {&unit, 1});
  CHECK(parts.b.numbers == std::vector<std::uint64_t>{0, 3, 5, 8, 11});
  CHECK(Proof(s, {unit}, "pages", "pages").check(Proof(s, {unit}, "pages", "pages").body) ==
        "holds");
}

TEST_CASE("no byte of a proof can be changed") {
  for (const char* profile : profiles) {
    for (const char form : forms) {
      const Small s(profile, form, 40, 30, 100);
      const auto units = drawn_units(digest_of("u"), 3, s.geometry.units());
      for (const auto& [a, b] : {std::pair{"pages", "pages"}, {"whole", "seed"}}) {
        const Proof proof(s, units, a, b);
        REQUIRE(proof.check(proof.body) == "holds");
        Bytes body = proof.body;
        std::size_t accepted = 0;
        for (std::size_t i = 0; i < body.size(); i += 1 + i % 13) {
          body[i] ^= static_cast<std::uint8_t>(1u << i % 8);
          accepted += proof.check(body) == "holds";
          body[i] = proof.body[i];
        }
        CHECK(accepted == 0);
      }
    }
  }
}

TEST_CASE("a proof that ends too early or goes on is refused") {
  const Small s("i8", 'n', 40, 30, 100);
  for (const std::string a : ways) {
    for (const std::string b : ways) {
      const Proof proof(s, {3, 700}, a, b);
      for (std::size_t size = 0; size < proof.body.size(); size += 1 + size / 50) {
        if (proof.check(ByteView(proof.body).first(size)) == "holds") FAIL("cut to " << size);
      }
      CHECK(proof.check(ByteView(proof.body).first(proof.body.size() - 1)) != "holds");
      Bytes longer = proof.body;
      longer.push_back(0);
      CHECK(proof.check(longer) == "the proof goes on after its end");
      longer.resize(longer.size() + 31);
      CHECK(proof.check(longer) == "the proof goes on after its end");
      CHECK(proof.check({}) == "the proof ends too early");
    }
  }
}

TEST_CASE("an element that is wrong in the committed product itself is found when it is drawn") {
  for (const char* profile : profiles) {
    for (const char form : forms) {
      Small s(profile, form, 11, 13, 140);
      s.c[4 * 77] ^= 1;
      const Proof drawn(s, {5, 77}, "pages", "pages");
      CHECK(drawn.check(drawn.body).starts_with("C[5, 12] is "));
      const Proof other(s, {5, 78}, "pages", "pages");
      CHECK(other.check(other.body) == "holds");
    }
  }
}

TEST_CASE("a proof of other units, or of another product, does not do") {
  const Small s("f32x", 'n', 64, 64, 64), t("f32x", 'n', 64, 64, 64, 9);
  const Proof proof(s, {0, 4000}, "pages", "pages"), other(s, {0, 2000}, "pages", "pages"),
      foreign(t, {0, 4000}, "pages", "pages");
  CHECK(proof.check(other.body) != "holds");
  CHECK(proof.check(foreign.body) == "the opened pages of C do not lead to the receipt's root");
}

TEST_CASE("an operand is opened by seed if, and only if, the receipt says so") {
  const Small s("i8", 'n', 4, 4, 4);
  Proof proof(s, {1}, "seed", "pages");
  proof.header.a = "whole";
  CHECK(proof.check(proof.body) == "input a is opened by whole, which the receipt does not allow");
  Proof file(s, {1}, "pages", "whole");
  file.header.b = "seed";
  CHECK(file.check(file.body) == "input b is opened by seed, which the receipt does not allow");
}

TEST_CASE("of pages and the whole, the cheaper one is taken") {
  const Small small("f32x", 'n', 4, 4, 4), large("f32x", 'n', 64, 64, 640);
  const auto few =
      needed(large.geometry, large.about_a, large.about_b, std::vector<std::uint64_t>{0});
  const auto all =
      needed(small.geometry, small.about_a, small.about_b, std::vector<std::uint64_t>{0});
  CHECK(cheapest(few.a, false) == "pages");
  CHECK(cheapest(all.a, false) == "whole");
  CHECK(cheapest(few.a, true) == "seed");
  CHECK(opening_bytes(few.a, "seed") == 0);
  CHECK(opening_bytes(few.a, "whole") == large.a.size());
}

TEST_CASE("tensors too large to be opened are refused before any work") {
  workload::Geometry g;
  g.m = g.k = std::uint64_t{1} << 20;
  g.n = 1;
  g.profile = "f32x";
  const tensor::Description a{tensor::Dtype::f32, {g.m, g.k}}, b{tensor::Dtype::f32, {g.k, 1}};
  CHECK(message_of([&] { needed(g, a, b, {}); }).find("is too large to be opened in a proof") !=
        std::string::npos);
}
