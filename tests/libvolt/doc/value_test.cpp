// SPDX-License-Identifier: Apache-2.0
#include "libvolt/doc/value.hpp"

#include <doctest/doctest.h>

#include "tests/libvolt/doc/message.hpp"

using volt::doc::Value;

TEST_CASE("a member is found by its key, and nothing is found in what is no object") {
  Value table = Value::Object{{"a", 1}, {"b", "text"}};
  REQUIRE(table.find("b") != nullptr);
  CHECK(*table.find("b")->get_if<std::string>() == "text");
  CHECK(table.find("c") == nullptr);
  *table.find("a") = 2.5;
  CHECK(*table.find("a")->get_if<double>() == 2.5);
  CHECK(Value(1).find("a") == nullptr);
}

TEST_CASE("every kind of value has a name for messages") {
  CHECK(Value().kind() == "null");
  CHECK(Value(true).kind() == "true or false");
  CHECK(Value(1).kind() == "a whole number");
  CHECK(Value(1.0).kind() == "a number");
  CHECK(Value("").kind() == "a string");
  CHECK(Value(Value::Array{}).kind() == "a list");
  CHECK(Value(Value::Object{}).kind() == "a table");
}

TEST_CASE("an unsigned number above int64 is refused") {
  CHECK(*Value(std::uint64_t{INT64_MAX}).get_if<std::int64_t>() == INT64_MAX);
  CHECK(message_of([] { return Value(std::uint64_t{INT64_MAX} + 1); }) ==
        "the number 9223372036854775808 is outside the range of int64");
}
