// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/hex.hpp"

#include <doctest/doctest.h>

using namespace volt;

TEST_CASE("every byte has its two digits, both ways") {
  Bytes all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  const std::string text = to_hex(all);
  CHECK(text.substr(0, 8) == "00010203");
  CHECK(text.substr(504) == "fcfdfeff");
  CHECK(from_hex(text) == all);
  CHECK(to_hex({}).empty());
  CHECK(from_hex("") == Bytes{});
}

TEST_CASE("hex has one spelling") {
  for (const char* text : {"0", "000", "0A", "AB", "0x00", "0g", " 00", "00 ", "0\n", "é", "-1"}) {
    CAPTURE(text);
    CHECK_FALSE(from_hex(text));
  }
}

TEST_CASE("a digest is 64 digits") {
  const std::string text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const auto digest = Digest::from_hex(text);
  REQUIRE(digest);
  CHECK(digest->hex() == text);
  CHECK(digest->bytes[0] == 0xe3);
  CHECK(digest->bytes[31] == 0x55);
  CHECK_FALSE(Digest::from_hex(text.substr(2)));
  CHECK_FALSE(Digest::from_hex(text + "00"));
  CHECK_FALSE(Digest::from_hex(text.substr(1)));
  CHECK_FALSE(Digest::from_hex(""));
  CHECK(Digest{} < *digest);
}

TEST_CASE("text and bytes are two views of the same") {
  const std::string text("a\0\xff", 3);
  CHECK(as_text(as_bytes(text)) == text);
  CHECK(as_bytes(text)[2] == 0xff);
}
