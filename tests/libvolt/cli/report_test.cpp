// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/report.hpp"

#include <doctest/doctest.h>

#include "libvolt/cli/line.hpp"
#include "libvolt/cli/session.hpp"

using namespace volt;
using namespace volt::cli;

TEST_CASE("an error is one line and its hint another") {
  Error error(Exit::not_found, "no such job\x1b[2J", "look\nhere", "No such file or directory");
  error.note("reading input a");
  CHECK(error_text("gpu-run", error, false) ==
        "gpu-run: error: no such job\\x1b[2J: No such file or directory, while reading input a\n"
        "hint: look\\x0ahere\n");
  CHECK(error_text("gpu-run", Error(Exit::usage, "x"), true) ==
        "gpu-run: \x1b[1;31merror:\x1b[0m x\n");
}

TEST_CASE("an error as JSON keeps its parts apart") {
  Error error(Exit::usage, "m", "h", "c");
  error.note("a");
  error.note("b");
  CHECK(to_line(error_document(error, 2)) ==
        R"({"schema":"volt.error/1","exit":2,"class":"usage","message":"m","hint":"h",)"
        R"("cause":"c","while":["a","b"]})");
}

TEST_CASE("GitHub's workflow commands cannot be broken out of") {
  CHECK(github_error("gpu-run", Error(Exit::usage, "50%\r\n::error::x, y", "z")) ==
        "::error title=gpu-run::50%25%0D%0A::error::x, y%0Ahint: z\n");
  CHECK(github_error("a:b,c", Error(Exit::usage, "m")) == "::error title=a%3Ab%2Cc::m\n");
}

TEST_CASE("every exit status has one word") {
  CHECK(exit_class(Exit::ok).word == "ok");
  CHECK(exit_class(Exit::cannot_tell).word == "cannot-tell");
  CHECK(exit_class(Exit::terminated).word == "terminated");
  int before = -1;
  for (const auto& one : exit_classes()) {
    CHECK(static_cast<int>(one.code) > before);
    before = static_cast<int>(one.code);
  }
}

TEST_CASE("a line of JSON is one line of UTF-8, whatever is in it") {
  CHECK(to_line(doc::Value::Object{{"b", 1}, {"a", doc::Value::Array{true, nullptr, 0.5}}}) ==
        R"({"b":1,"a":[true,null,0.5]})");
  CHECK(to_line("a\n\"\\\x01\x7f\xc3\xa9") == "\"a\\n\\\"\\\\\\u0001\\u007f\xc3\xa9\"");
  CHECK(to_line("\xff\xc3") == "\"\xef\xbf\xbd\xef\xbf\xbd\"");
  CHECK(to_line(doc::Value(0.0 / 0.0)) == "null");
}

TEST_CASE("a result begins with its schema") {
  LiveSession session("gpu-run", {.json = true});
  session.result({{"a", 1}});
  CHECK(to_line(*session.result_document()) == R"({"schema":"volt.result/1","a":1})");
  session.result({{"a", 1}, {"schema", "volt.verdict/1"}});
  CHECK(to_line(*session.result_document()) == R"({"schema":"volt.verdict/1","a":1})");
  CHECK_THROWS_AS(session.print("x"), std::logic_error);
}
