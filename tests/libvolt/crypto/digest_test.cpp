// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/digest.hpp"

#include <doctest/doctest.h>

#include <array>

#include "libvolt/base/error.hpp"

using namespace volt;
using namespace volt::crypto;

TEST_CASE("SHA-256 gives the known answers of FIPS 180-4") {
  CHECK(sha256({}).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256(as_bytes("abc")).hex() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(as_bytes(std::string(1000000, 'a'))).hex() ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a digest made in pieces is that of the whole, and the object starts anew") {
  Sha256 hasher;
  const Digest abc = sha256(as_bytes("abc"));
  CHECK(hasher.update(as_bytes("a")).update({}).update(as_bytes("bc")).finish() == abc);
  CHECK(hasher.finish() == sha256({}));
  Sha256 moved = std::move(hasher.update(as_bytes("ab")));
  CHECK(moved.update(as_bytes("c")).finish() == abc);
}

TEST_CASE("random digests differ") {
  CHECK(random_digest() != random_digest());
  CHECK(random_digest() != Digest{});
}

TEST_CASE("an expansion is SHA-256 over the seed and a counter, four little-endian words a time") {
  const Digest seed = sha256(as_bytes("seed"));
  Expansion expansion(seed);
  for (std::uint8_t counter = 0; counter < 3; ++counter) {
    Bytes input(seed.bytes.begin(), seed.bytes.end());
    input.push_back(counter);
    input.resize(40);
    const Digest block = sha256(input);
    for (unsigned w = 0; w < 4; ++w) {
      std::uint64_t word = 0;
      for (unsigned i = 8; i-- > 0;) word = word * 256 + block.bytes[8 * w + i];
      CHECK(expansion.word() == word);
    }
  }
  // head -c 40 /dev/zero | openssl dgst -sha256
  CHECK(Expansion(Digest{}).word() == 0x8c833bf21dce342c);
}

TEST_CASE("the counter of an expansion is eight bytes, least first") {
  const Digest seed{};
  Expansion expansion(seed);
  for (unsigned i = 0; i < 4 * 258; ++i) expansion.word();
  std::array<std::uint8_t, 40> input{};
  input[32] = 2;  // 258 = 0x0102
  input[33] = 1;
  std::uint64_t word = 0;
  const Digest block = sha256(input);
  for (unsigned i = 8; i-- > 0;) word = word * 256 + block.bytes[i];
  CHECK(expansion.word() == word);
}

TEST_CASE("numbers below a bound are in range and even where plain remainders are not") {
  Expansion expansion(sha256(as_bytes("fair")));
  // 2^64 is 1 1/3 times this bound: remainders of all words would be twice as dense below 2^62.
  constexpr std::uint64_t bound = std::uint64_t{3} << 62;
  constexpr int rounds = 30000;
  std::array<int, 3> thirds{};
  for (int i = 0; i < rounds; ++i) {
    const std::uint64_t value = expansion.below(bound);
    REQUIRE(value < bound);
    ++thirds[value >> 62];
  }
  for (const int count : thirds) {
    CHECK(count > rounds / 3 - 500);  // six standard deviations
    CHECK(count < rounds / 3 + 500);
  }
  std::array<int, 5> fifths{};
  for (int i = 0; i < rounds; ++i) ++fifths.at(expansion.below(5));
  for (const int count : fifths) CHECK(std::abs(count - rounds / 5) < 450);
  CHECK(expansion.below(1) == 0);
  CHECK_THROWS_AS(expansion.below(0), Error);
}

TEST_CASE("nothing is refused when the bound divides 2^64") {
  Expansion a(Digest{}), b(Digest{});
  for (int i = 0; i < 100; ++i) CHECK(a.below(std::uint64_t{1} << 63) == b.word() % (1ull << 63));
}
