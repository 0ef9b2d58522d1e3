// SPDX-License-Identifier: Apache-2.0
#include "libvolt/doc/fields.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::doc;

namespace {

const Source job{"job.toml", Exit::usage};
constexpr std::array<std::string_view, 3> profiles{"f32x", "i8x", "i8"};
constexpr std::array<std::string_view, 1> one{"f32x"};

/// What reading `text` with `use` complains about.
template <class Use>
std::string complaint(std::string_view text, Use use) {
  const Value value = parse_toml(text, job.origin);
  return message_of([&] {
    Fields fields(value, job);
    use(fields);
  });
}

}  // namespace

TEST_CASE("fields of every type are read") {
  const std::string hex(64, 'a');
  const Value value = parse_toml(
      "s = 'x'\ni = 3\nd = 1.5\nb = true\nl = [1]\np = 'i8'\n[t]\nh = '" + hex + "'\n", "job.toml");
  Fields fields(value, job);
  CHECK(fields.string("s") == "x");
  CHECK(fields.integer("i", 3, 3) == 3);
  CHECK(fields.number("d", 0, 2) == 1.5);
  CHECK(fields.number("i", 0, 3) == 3.0);
  CHECK(fields.boolean("b"));
  CHECK(fields.array("l").size() == 1);
  CHECK(fields.choice("p", profiles) == "i8");
  CHECK(fields.has("t"));
  CHECK_FALSE(fields.has("u"));
  Fields table = fields.table("t");
  CHECK(table.path() == "t");
  CHECK(table.digest("h").hex() == hex);
  table.refuse_others();
  fields.refuse_others();
}

TEST_CASE("a choice that is none is told with the choices and the nearest") {
  const std::string text = "[matmul]\n\n\nprofile = \"f23x\"";
  CHECK(complaint(text, [](Fields& f) { f.table("matmul").choice("profile", profiles); }) ==
        "job.toml:4:11: matmul.profile is \"f23x\", not one of \"f32x\", \"i8x\", \"i8\" "
        "[did you mean \"f32x\"?]");
  CHECK(complaint("p = 'what'", [](Fields& f) { f.choice("p", one); }) ==
        "job.toml:1:5: p is \"what\", not \"f32x\"");
  CHECK(complaint("p = \"\\u001b[2J\"", [](Fields& f) { f.choice("p", one); }) ==
        "job.toml:1:5: p is \"\\x1b[2J\", not \"f32x\"");
}

TEST_CASE("a key that nobody asked for is told with the nearest that somebody did") {
  CHECK(complaint("a = 1\n\n[workloda]", [](Fields& f) {
          f.find("workload");
          f.find("a");
          f.refuse_others();
        }) == "job.toml:3:1: unknown key \"workloda\" [did you mean \"workload\"?]");
  CHECK(complaint("[t]\nzzz = 1", [](Fields& f) {
          Fields table = f.table("t");
          table.find("profile");
          table.refuse_others();
        }) == "job.toml:2:7: unknown key \"t.zzz\"");
}

TEST_CASE("a missing key is told by its full name") {
  CHECK(complaint("[matmul]", [](Fields& f) { f.table("matmul").string("a"); }) ==
        "job.toml: matmul.a is missing");
  CHECK(complaint("", [](Fields& f) { f.table("matmul"); }) == "job.toml: matmul is missing");
}

TEST_CASE("a value of the wrong type is told with its type and the right one") {
  CHECK(complaint("name = 5", [](Fields& f) { f.string("name"); }) ==
        "job.toml:1:8: name is a whole number, not a string");
  CHECK(complaint("n = 1.0", [](Fields& f) { f.integer("n", 0, 1); }) ==
        "job.toml:1:5: n is a number, not a whole number");
  CHECK(complaint("n = 'x'", [](Fields& f) { f.number("n", 0, 1); }) ==
        "job.toml:1:5: n is a string, not a number");
  CHECK(complaint("n = []", [](Fields& f) { f.boolean("n"); }) ==
        "job.toml:1:5: n is a list, not true or false");
  CHECK(complaint("n = {}", [](Fields& f) { f.array("n"); }) ==
        "job.toml:1:5: n is a table, not a list");
  CHECK(complaint("n = true", [](Fields& f) { f.table("n"); }) ==
        "job.toml:1:5: n is true or false, not a table");
  CHECK(complaint("n = 'ABC'", [](Fields& f) { f.digest("n"); }) ==
        "job.toml:1:5: n is \"ABC\", not 64 lower-case hex digits");
}

TEST_CASE("a number out of range is told with the range") {
  CHECK(complaint("n = 0", [](Fields& f) { f.integer("n", 1, 8); }) ==
        "job.toml:1:5: n is 0, not from 1 to 8");
  CHECK(complaint("n = 0", [](Fields& f) { f.integer("n", 1, INT64_MAX); }) ==
        "job.toml:1:5: n is 0, not 1 or more");
  CHECK(complaint("n = 9", [](Fields& f) { f.integer("n", INT64_MIN, 8); }) ==
        "job.toml:1:5: n is 9, not 8 or less");
  CHECK(complaint("n = 1.5", [](Fields& f) { f.number("n", 0, 1); }) ==
        "job.toml:1:5: n is 1.5, not from 0 to 1");
  CHECK(complaint("n = -1", [](Fields& f) {
          f.number("n", 0, std::numeric_limits<double>::infinity());
        }) == "job.toml:1:5: n is -1, not 0 or more");
}

TEST_CASE("a value from nowhere has no line, and the code is the source's") {
  const Value value = parse_json("[1]", "receipt");
  const Source receipt{"receipt", Exit::verification_failed};
  try {
    Fields fields(value, receipt);
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.text() == "receipt: the document is a list, not a table");
    CHECK(error.code() == Exit::verification_failed);
  }
  const Value table = parse_json(R"({"a": 1})", "receipt");
  Fields fields(table, receipt);
  CHECK(message_of([&] { fields.fail("a", fields.get("a"), "is odd", "make it even"); }) ==
        "receipt: a is odd [make it even]");
}
