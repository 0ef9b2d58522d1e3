// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <limits>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::doc;

namespace {

Value read(std::string_view text) { return parse_json(text, "receipt"); }
std::string complaint(std::string_view text) {
  return message_of([&] { read(text); });
}

}  // namespace

TEST_CASE("JSON of every kind is read, in the order of the file") {
  const Value value = read(R"( {"z": [1, -2, 1.0, 1e2], "a": "é\u00e9\n\ud83d\ude00",
                               "t": true, "f": false, "n": null, "o": {}} )");
  const auto& members = *value.get_if<Value::Object>();
  REQUIRE(members.size() == 6);
  CHECK(members[0].first == "z");
  CHECK(members[1].first == "a");
  const auto& numbers = *members[0].second.get_if<Value::Array>();
  CHECK(*numbers[0].get_if<std::int64_t>() == 1);
  CHECK(*numbers[1].get_if<std::int64_t>() == -2);
  CHECK(*numbers[2].get_if<double>() == 1.0);
  CHECK(*numbers[3].get_if<double>() == 100.0);
  CHECK(*members[1].second.get_if<std::string>() == "éé\n😀");
  CHECK(*members[2].second.get_if<bool>());
  CHECK_FALSE(*members[3].second.get_if<bool>());
  CHECK(members[4].second.get_if<std::nullptr_t>() != nullptr);
  CHECK(members[5].second.get_if<Value::Object>()->empty());
  CHECK(value.mark.line == 0);
}

TEST_CASE("whole numbers reach to the ends of int64 and no further") {
  CHECK(*read("9223372036854775807").get_if<std::int64_t>() == INT64_MAX);
  CHECK(*read("-9223372036854775808").get_if<std::int64_t>() == INT64_MIN);
  CHECK(complaint("[1,\n 9223372036854775808]") ==
        "receipt:2:2: the number 9223372036854775808 is outside the range of int64");
  CHECK(complaint("18446744073709551616") ==
        "receipt:1:1: the number 18446744073709551616 is outside the range of int64");
  CHECK(complaint("[-9223372036854775809 ]") ==
        "receipt:1:2: the number -9223372036854775809 is outside the range of int64");
  CHECK(complaint("[1e999]") == "receipt:1:2: the number 1e999 is outside the range of double");
  Limits foreign;
  foreign.rounds_integers = true;
  const Value value = parse_json("[1000000000000000019884624838656, 18446744073709551615, 7]",
                                 "tokenizer_config.json", foreign);
  const auto& numbers = *value.get_if<Value::Array>();
  CHECK(*numbers[0].get_if<double>() == 1e30);
  CHECK(*numbers[1].get_if<double>() == 0x1p64);
  CHECK(*numbers[2].get_if<std::int64_t>() == 7);
}

TEST_CASE("a key that is there twice is named with its place") {
  CHECK(complaint("{\"a\": 1,\n \"a\": 2}") == "receipt:2:2: the key \"a\" is there twice");
  CHECK(complaint(R"({"é":1, "é":2})") == "receipt:1:9: the key \"é\" is there twice");
  CHECK(complaint(R"({"a\"\\":1, "a\"\\":2})") == R"(receipt:1:13: the key "a"\" is there twice)");
  CHECK(complaint(R"({"\u001b":1, "\u001b":2})") ==
        "receipt:1:14: the key \"\\x1b\" is there twice");
  CHECK(complaint(R"({"a":{"a":1},"b":{"a":1}})") == "nothing thrown");
}

TEST_CASE("a syntax error in JSON is told with line, column and text") {
  CHECK(complaint("") == "receipt:1:1: ends too early");
  CHECK(complaint("[1,\n2") == "receipt:2:2: ends too early");
  CHECK(complaint("\"abc") == "receipt:1:5: ends too early");
  CHECK(complaint("[1,\n  nul]") == "receipt:2:3: not valid JSON at \"nul]\": invalid literal");
  CHECK(complaint("[\"é\", x]") == "receipt:1:7: not valid JSON at \"x]\": invalid literal");
  CHECK(complaint("NaN") == "receipt:1:1: not valid JSON at \"NaN\": invalid literal");
  CHECK(complaint("[1,]") ==
        "receipt:1:4: not valid JSON at \"]\": unexpected ']'; expected '[', '{', or a literal");
  CHECK(complaint("{\"a\" 12}") ==
        "receipt:1:6: not valid JSON at \"12}\": unexpected number literal; expected ':'");
  CHECK(complaint("[1 \"a\\\"b\"]") ==
        R"(receipt:1:4: not valid JSON at ""a\"b"]": unexpected string literal; expected ']')");
  CHECK(complaint("\"a\nb\"") ==
        "receipt:1:3: not valid JSON at the end of the line: invalid string: control character "
        "U+000A (LF) must be escaped to \\u000A or \\n");
  CHECK(complaint("[1.]").starts_with("receipt:1:4: not valid JSON at \"]\": invalid number"));
  CHECK(complaint(R"("\ud800")").starts_with("receipt:1:8: not valid JSON at "));
  CHECK(complaint("/* no */ 1").starts_with("receipt:1:1: not valid JSON at \"/* no */ 1\""));
  CHECK(complaint("[\x1b]") == "receipt:1:2: not valid JSON at \"\\x1b]\": invalid literal");
}

TEST_CASE("text after a JSON document is refused") {
  CHECK(complaint("[1]\n x") == "receipt:2:2: text after the end of the document: \"x\"");
  CHECK(complaint("1 2") == "receipt:1:3: text after the end of the document: \"2\"");
  CHECK(complaint("01") == "receipt:1:2: text after the end of the document: \"1\"");
  CHECK(complaint("{} \"unended") ==
        "receipt:1:4: text after the end of the document: \"\"unended\"");
}

TEST_CASE("text that is no UTF-8, has a NUL or a byte order mark is refused") {
  CHECK(complaint("\"\n\xc3(\"") == "receipt:2:1: not UTF-8 at \"\\xc3\"");
  CHECK(complaint("\"\xed\xa0\x80\"") == "receipt:1:2: not UTF-8 at \"\\xed\"");
  CHECK(complaint(std::string_view("1\0 garbage", 11)) == "receipt:1:2: has a NUL character");
  CHECK(complaint("\xef\xbb\xbf[]") ==
        "receipt:1:1: begins with a byte order mark [save it as UTF-8 without BOM]");
}

TEST_CASE("JSON that is too long or too deep is refused, and the limit itself is not") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(complaint(nested(32)) == "nothing thrown");
  CHECK(complaint(nested(33)) == "receipt:1:33: nested deeper than 32 levels");
  CHECK(complaint(std::string(1 << 20, '[')) == "receipt:1:33: nested deeper than 32 levels");
  const Limits limits{.bytes = 4, .depth = 0};
  CHECK(message_of([&] { parse_json("1234", "r", limits); }) == "nothing thrown");
  CHECK(message_of([&] { parse_json("12345", "r", limits); }) ==
        "r: is 5 bytes long, more than the 4 allowed");
  CHECK(message_of([&] { parse_json("{}", "r", limits); }) == "r:1:1: nested deeper than 0 levels");
}

TEST_CASE("errors in JSON carry the code that was asked for") {
  try {
    parse_json("x", "receipt", {}, Exit::verification_failed);
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::verification_failed);
  }
}

TEST_CASE("JSON for people is indented and reads back as the same tree") {
  const Value value = Value::Object{
      {"b", Value::Array{1, 1.0, -0.5, 1e300}}, {"a", Value::Object{}}, {"c", "x\"\x01\ty"}};
  const std::string text = to_json(value);
  CHECK(text == R"({
  "b": [
    1,
    1.0,
    -0.5,
    1e+300
  ],
  "a": {},
  "c": "x\"\u0001\ty"
})");
  CHECK(to_json(read(text)) == text);
  CHECK(message_of([] { to_json(std::numeric_limits<double>::infinity()); }) ==
        "the number inf has no form in JSON");
}
