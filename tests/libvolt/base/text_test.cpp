// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/text.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <random>

using namespace volt;

TEST_CASE("split keeps empty pieces and join undoes it") {
  for (const std::string text : {"", ",", "a", "a,,b", ",a,", ",,,"}) {
    std::vector<std::string> parts;
    for (const auto part : split(text, ',')) parts.emplace_back(part);
    CHECK(parts.size() == static_cast<std::size_t>(std::count(text.begin(), text.end(), ',')) + 1);
    CHECK(join(parts, ",") == text);
  }
  CHECK(split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
  CHECK(join({}, ", ").empty());
}

TEST_CASE("trim takes spaces, tabs and line ends off both ends and nothing else") {
  CHECK(trim(" \t\r\n a b \n") == "a b");
  CHECK(trim(" \n").empty());
  CHECK(trim("").empty());
  CHECK(trim("\va\v") == "\va\v");
}

TEST_CASE("a whole number is decimal digits and nothing else") {
  CHECK(parse_unsigned("0") == 0);
  CHECK(parse_unsigned("18446744073709551615") == UINT64_MAX);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "01", "00", "1.0", "1e3", "0x1", "1_000",
                           "18446744073709551616", "99999999999999999999", "٣"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_unsigned(text));
  }
}

TEST_CASE("a number is finite and decimal") {
  CHECK(parse_number("0.01") == 0.01);
  CHECK(parse_number("1e-12") == 1e-12);
  CHECK(parse_number("-2.5E3") == -2500.0);
  for (const char* text : {"", "+1", "inf", "-inf", "nan", "NaN", "infinity", "0x1p3", "1e999",
                           "1,5", " 1", "1 ", "1e", "e1", "--1", "1.2.3"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number(text));
  }
}

TEST_CASE("a double's text is the shortest that reads back as the same double") {
  CHECK(to_text(0.1) == "0.1");
  CHECK(to_text(1e-12) == "1e-12");
  CHECK(to_text(3) == "3");
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    CHECK(parse_number(to_text(value)) == value);
  }
}

TEST_CASE("text is UTF-8 or it is not, by table 3-7 of Unicode") {
  for (const char* text :
       {"", "abc", "é", "€", "𝄞", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CAPTURE(text);
    CHECK(is_utf8(text));
  }
  for (const char* text :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xed\xbf\xbf", "\xe2\x82", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "a\xfe"}) {
    CAPTURE(text);
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("no terminal escape survives being made printable") {
  CHECK(printable("\x1b]0;owned\x07") == "\\x1b]0;owned\\x07");
  CHECK(printable("\x1b[2J") == "\\x1b[2J");
  CHECK(printable("a\r\nb\tc") == "a\\x0d\\x0ab\\x09c");
  CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(printable("\x7f") == "\\x7f");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\\xc2\\x9b31m");  // CSI as one C1 control
  CHECK(printable("\x9b"
                  "31m") == "\\x9b31m");
  CHECK(printable("\xc2\xa0é€𝄞") == "\xc2\xa0é€𝄞");
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const std::string safe = printable(text);
    CAPTURE(byte);
    CHECK((byte >= 0x20 && byte < 0x7f ? safe == text : safe.size() == 4));
  }
}

TEST_CASE("what is no UTF-8 is replaced as Unicode's section 3.9 says") {
  const std::string bad = "\xef\xbf\xbd";
  CHECK(as_utf8("") == "");
  CHECK(as_utf8("a\xe2\x82\xac") == "a\xe2\x82\xac");
  CHECK(as_utf8("\xe2\x82") == bad);  // a character that is cut off
  CHECK(as_utf8("\xe2\x82z") == bad + "z");
  CHECK(as_utf8("\x80\xff") == bad + bad);
  CHECK(as_utf8("\xed\xa0\x80") == bad + bad + bad);  // a surrogate: no character begins so
  CHECK(as_utf8("\xf0\x9f\x98\xf0\x9f\x98\x80") == bad + "\xf0\x9f\x98\x80");
}

TEST_CASE("what is made printable is UTF-8 without controls, and stays as it is") {
  std::mt19937 random(3);
  for (int i = 0; i < 5'000; ++i) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string safe = printable(text, 1000);
    CHECK(is_utf8(safe));
    CHECK(printable(safe, 1000) == safe);
  }
}

TEST_CASE("what is longer than the limit is cut with dots") {
  CHECK(printable("abc", 3) == "abc");
  CHECK(printable(std::string(200, 'a')) == std::string(200, 'a'));
  CHECK(printable("abcdefgh", 3).ends_with("..."));
  for (std::size_t size = 4; size < 20; ++size) {
    CAPTURE(size);
    const std::string cut = printable(std::string(size, 'a'), 3);
    CHECK(cut.ends_with("..."));
    CHECK(cut.size() <= 7);
  }
  CHECK(is_utf8(printable("€€€€€€€€", 4)));  // not in the middle of a character
}

TEST_CASE("a typo finds the word that was meant, and nonsense finds none") {
  constexpr std::array<std::string_view, 6> words{"seed", "shape", "profile", "sha256", "url", "a"};
  CHECK(closest("sede", words) == "seed");
  CHECK(closest("profle", words) == "profile");
  CHECK(closest("porfile", words) == "profile");
  CHECK(closest("sha265", words) == "sha256");
  CHECK(closest("seed", words) == "seed");
  CHECK(suggestion("shap", words) == "did you mean \"shape\"?");
  for (const char* word : {"banana", "", "xyz", "q"}) {
    CAPTURE(word);
    CHECK_FALSE(closest(word, words));
    CHECK(suggestion(word, words).empty());
  }
  CHECK_FALSE(closest(std::string(100'000, 's'), words));
  CHECK_FALSE(closest("seed", {}));
}

TEST_CASE("of two candidates the nearer one is suggested") {
  constexpr std::array<std::string_view, 2> words{"transpose_b", "transpose_a"};
  CHECK(closest("transpose_aa", words) == "transpose_a");
  CHECK(closest("transpos_b", words) == "transpose_b");
}
