// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/unicode.hpp"

#include <doctest/doctest.h>

namespace volt::lm {
namespace {

TEST_CASE("every character is read as it is written") {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    append_utf8(text, code);
    const Character one = character_at(text, 0);
    REQUIRE(one.code == code);
    REQUIRE(one.length == text.size());
  }
}

TEST_CASE("classes, at their borders") {
  CHECK(is_letter(U'a'));
  CHECK(is_letter(0xaa));
  CHECK(is_letter(0x4e00));
  CHECK(is_letter(0x323af));  // the last of Unicode 16
  CHECK(!is_letter(0x323b0));
  CHECK(!is_letter(0x300));  // a mark
  CHECK(!is_letter(0x10ffff));
  CHECK(is_letter(0x1c89));  // new in Unicode 16
  CHECK(is_number(U'0'));
  CHECK(is_number(0xbd));
  CHECK(is_number(0x2167));
  CHECK(!is_number(0x4e00));
  // Rust's numbers are those of Unicode 17.
  CHECK(is_numeric(0x11de0));
  CHECK(!is_number(0x11de0));
  CHECK(is_word(U'_'));
  CHECK(is_word(0x300));
  CHECK(is_word(0x200d));
  CHECK(is_word(0x24b6));
  CHECK(!is_word(U'-'));
  CHECK(!is_word(0xbd));
  for (const char32_t space : {0x9, 0xd, 0x20, 0x85, 0xa0, 0x1680, 0x200a, 0x2028, 0x205f, 0x3000})
    CHECK(is_space(space));
  for (const char32_t other : {0x8, 0xe, 0x1f, 0x84, 0x180e, 0x200b, 0x2060, 0xfeff})
    CHECK(!is_space(other));
}

// From Unicode Standard Annex 15, tables 1 to 4, and chapter 3.12.
TEST_CASE("form C") {
  CHECK(to_nfc("") == "");
  CHECK(to_nfc("ASCII stays") == "ASCII stays");
  CHECK(to_nfc("A\u030a") == "\u00c5");
  CHECK(to_nfc("\u212b") == "\u00c5");  // a singleton
  CHECK(to_nfc("\u1e69") == "\u1e69");
  CHECK(to_nfc("s\u0323\u0307") == "\u1e69");
  CHECK(to_nfc("s\u0307\u0323") == "\u1e69");  // marks are put in order
  CHECK(to_nfc("\u1e0b\u0323") == "\u1e0d\u0307");
  CHECK(to_nfc("q\u0307\u0323") == "q\u0323\u0307");
  CHECK(to_nfc("\ufb01") == "\ufb01");                // compatibility is another matter
  CHECK(to_nfc("\u0958") == "\u0915\u093c");          // excluded from composition
  CHECK(to_nfc("a\u0305\u0300") == "a\u0305\u0300");  // the first of a class blocks the second
  CHECK(to_nfc("\u0344") == "\u0308\u0301");
  CHECK(to_nfc("\U0002f800") == "\u4e3d");
}

TEST_CASE("form C of Hangul") {
  CHECK(to_nfc("\u1112\u1161\u11ab") == "\ud55c");
  CHECK(to_nfc("\uac00\u11a8") == "\uac01");
  CHECK(to_nfc("\uac01\u11a8") == "\uac01\u11a8");
  CHECK(to_nfc("\u1100\u1161\u11a7") == "\uac00\u11a7");  // U+11A7 is no final consonant
  for (const std::string syllable : {"\uac00", "\uac01", "\ud7a3"})
    CHECK(to_nfc(syllable) == syllable);
}

TEST_CASE("form C of a million marks") {
  std::string marks;
  for (int i = 0; i < 250'000; ++i) marks += "\u0301\u0323";
  const std::string sorted = to_nfc("a" + marks);
  CHECK(sorted.size() == marks.size() - 2 + 3);  // "a" and the first U+0323 became U+1EA1
  CHECK(sorted.starts_with("\u1ea1\u0323"));
  CHECK(to_nfc(sorted) == sorted);
}

}  // namespace
}  // namespace volt::lm
