// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <bit>
#include <limits>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::doc;

namespace {

std::string canonical(std::string_view json) { return to_canonical_json(parse_json(json, "test")); }

}  // namespace

TEST_CASE("numbers are written as in appendix B of RFC 8785") {
  const std::pair<std::uint64_t, const char*> table[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };
  for (const auto& [bits, text] : table) {
    CHECK(to_canonical_json(std::bit_cast<double>(bits)) == text);
  }
  for (const std::uint64_t bits : {0x7fffffffffffffff, 0x7ff0000000000000}) {
    CHECK(message_of([&] {
            to_canonical_json(std::bit_cast<double>(bits));
          }).ends_with(" has no form in JSON"));
  }
}

TEST_CASE("whole numbers keep all their digits, beyond 2^53 too") {
  CHECK(canonical("9223372036854775807") == "9223372036854775807");
  CHECK(canonical("-9223372036854775808") == "-9223372036854775808");
  CHECK(canonical("[1.0, 1, 1e2, -0, -0.0]") == "[1,1,100,0,0]");
}

TEST_CASE("keys are sorted by UTF-16 code units, as in section 3.2.3 of RFC 8785") {
  CHECK(canonical(R"({
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"
    })") ==
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\","
        "\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\","
        "\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}");
  CHECK(canonical(R"({"ab": 1, "a": 2, "": 3, "\ue000": 4, "\ud800\udc00": 5, "\ud7ff": 6})") ==
        "{\"\":3,\"a\":2,\"ab\":1,\"퟿\":6,\"\U00010000\":5,\"\ue000\":4}");
}

TEST_CASE("the example of section 3.2.2 of RFC 8785 comes out as published") {
  CHECK(canonical(R"({
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    })") == R"({"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],)"
            R"("string":"€$\u000f\nA'B\"\\\\\"/"})");
}

TEST_CASE("strings are escaped only where they must be") {
  CHECK(to_canonical_json("\b\t\n\f\r\x01\x1f\x7f/é") == "\"\\b\\t\\n\\f\\r\\u0001\\u001f\x7f/é\"");
  CHECK(message_of([] { to_canonical_json("a\xff"); }) == "the text \"a\\xff\" is not UTF-8");
}
