// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <functional>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::doc;

namespace {

Value read(std::string_view text) { return parse_toml(text, "job.toml"); }
std::string complaint(std::string_view text) {
  return message_of([&] { read(text); });
}

/// The characters from `begin` to before `end`; the test texts that use it are ASCII.
std::string between(const std::string& text, Mark begin, Mark end) {
  const auto offset = [&](Mark mark) {
    std::size_t at = 0;
    for (std::uint32_t line = 1; line < mark.line; ++line) at = text.find('\n', at) + 1;
    return at + mark.column - 1;
  };
  return text.substr(offset(begin), offset(end) - offset(begin));
}

}  // namespace

TEST_CASE("TOML is read in the order of the file, however it is written") {
  const Value value = read(
      "z = 1\n"
      "[m]\n"
      "y = 1.0\n"
      "b.c = true\n"
      "a = [\"x\", 'y']\n"
      "[[list]]\n"
      "n = 0x10\n"
      "[[list]]\n"
      "[a.b]\n"
      "[m.last]\n");
  CHECK(to_canonical_json(value) ==
        R"({"a":{"b":{}},"list":[{"n":16},{}],"m":{"a":["x","y"],"b":{"c":true},"last":{},"y":1},)"
        R"("z":1})");
  std::string order;
  for (const auto& [key, member] : *value.get_if<Value::Object>()) order += key + " ";
  CHECK(order == "z m list a ");
  order.clear();
  for (const auto& [key, member] : *value.find("m")->get_if<Value::Object>()) order += key + " ";
  CHECK(order == "y b a last ");
  CHECK(value.find("m")->find("y")->get_if<double>() != nullptr);
}

TEST_CASE("the marks of a TOML value enclose exactly its text") {
  const auto check = [](const std::string& written) {
    CAPTURE(written);
    for (const char* after : {"", "\n", "\r\n", " # c", "\t\nb = 2\n"}) {
      const std::string text = "x = 0\nab = " + written + after;
      const Value value = read(text);
      const Value& member = *value.find("ab");
      CHECK(between(text, member.mark, member.end) == written);
    }
    for (const char* after : {"]", ", 1]", " ]", "\n]", ",]"}) {
      const std::string text = "ab = [ " + written + after;
      const Value value = read(text);
      const Value& member = value.find("ab")->get_if<Value::Array>()->front();
      CHECK(between(text, member.mark, member.end) == written);
    }
    for (const char* after : {"}", " }", ", d = 1}"}) {
      const std::string text = "ab = {c = " + written + after;
      const Value value = read(text);
      const Value& member = *value.find("ab")->find("c");
      CHECK(between(text, member.mark, member.end) == written);
      CHECK(between(text, value.find("ab")->mark, value.find("ab")->end) == text.substr(5));
    }
  };
  for (const char* written : {"\"\"",
                              "\"text\"",
                              "\"q\\\"\\n\"",
                              "'l'",
                              "''",
                              "'''m\nn'''",
                              "\"\"\"\nm\r\nn\"\"\"",
                              "\"\"\"x\"\"\"\"",
                              "\"\"\"\"y\\\n  z\"\"\"\"\"",
                              "'''''a'''''",
                              "0",
                              "-1",
                              "+17",
                              "1_000",
                              "0xFf",
                              "0o7",
                              "0b1",
                              "1.5",
                              "-1e3",
                              "+1.0E-2",
                              "6_0.0_1",
                              "true",
                              "false",
                              "[]",
                              "[ ]",
                              "[1]",
                              "[1,\n 2, # c\n]",
                              "[[1], ['a']]",
                              "{}",
                              "{ }",
                              "{a = 1}",
                              "{ a.b = [1], c = '}' }"}) {
    check(written);
  }
}

TEST_CASE("columns of TOML count characters, not bytes") {
  const Value value = read("\"é😀\" = [\"é\", 1]");
  const Value& list = value.get_if<Value::Object>()->front().second;
  CHECK(list.mark.column == 8);
  CHECK(list.get_if<Value::Array>()->back().mark.column == 14);
  CHECK(list.end.column == 16);
}

TEST_CASE("the mark of a table is its header") {
  const Value value = read("\n[t]\nx = 1\n\n[[u]]\n");
  CHECK(value.find("t")->mark.line == 2);
  CHECK(value.find("t")->mark.column == 1);
  CHECK(value.find("t")->end.column == 4);
  CHECK(value.find("u")->get_if<Value::Array>()->front().mark.line == 5);
}

TEST_CASE("a syntax error in TOML is told with line, column and text") {
  CHECK(complaint("a b = 1") == "job.toml:1:3: not valid TOML at \"b = 1\": expected '=', saw 'b'");
  CHECK(complaint("x = 1\na = ") ==
        "job.toml:2:5: not valid TOML at the end of the line: encountered end-of-file");
  CHECK(complaint("a = 1\na = 2") ==
        "job.toml:2:5: not valid TOML at \"2\": cannot redefine existing integer 'a'");
  CHECK(complaint("[a]\n[a]\n") ==
        "job.toml:2:1: not valid TOML at \"[a]\": cannot redefine existing table 'a'");
  CHECK(complaint("a = \"\x1b[2J\"").find('\x1b') == std::string::npos);
  CHECK(complaint("a = 9223372036854775808").find("is not representable in 64 bits") !=
        std::string::npos);
  CHECK(complaint("a = 1e400").find("could not be interpreted as a value") != std::string::npos);
}

TEST_CASE("characters beyond ASCII are read in quotes and comments only") {
  CHECK(complaint("\"é\" = 'é' # é\nb = \"\"\"é \\\n x é\"\"\"") == "nothing thrown");
  CHECK(complaint("é = 1") ==
        "job.toml:1:1: not valid TOML at \"é = 1\": only comments and text in quotes may go beyond "
        "ASCII");
  CHECK(complaint("a = 1\u00a0").starts_with("job.toml:1:6: not valid TOML at "));
  CHECK(complaint("a = \"\"\"x\\\n é\"\"\"") ==
        "job.toml:2:2: not valid TOML at \"é\"\"\"\": nothing beyond ASCII may follow a backslash, "
        "nor begin the line after one");
  CHECK(complaint("a = \"\\é\"").starts_with("job.toml:1:7: not valid TOML at \"é\"\": "));
}

TEST_CASE("quotes begin a key or a value and never stand within one") {
  CHECK(
      complaint("a.\"é\".'b' = ['x',\"y\",\n'z']\n[\"t\".'é']\n[[\"l\"]]\nx={\"k\".\"é\"=\"\"}") ==
      "nothing thrown");
  CHECK(complaint("1.\"é\" = 1") == "nothing thrown");
  CHECK(complaint("a = 1\"\"\"é\"\"\"") ==
        "job.toml:1:6: not valid TOML at \"\"\"\"é\"\"\"\": a quote within a word");
  CHECK(complaint("a = 1.\"é\"").ends_with("a quote within a word"));
  CHECK(complaint("a = [1.'é']").ends_with("a quote within a word"));
  CHECK(complaint("a = {b = 1.'é'}").ends_with("a quote within a word"));
  CHECK(complaint("a = ''x''").ends_with("a quote within a word"));
}

TEST_CASE("a table header without a key is refused") {
  CHECK(complaint("x = [\n [1]]\n[.t]") ==
        "job.toml:3:2: not valid TOML at \".t]\": expected a key");
  CHECK(complaint("[[ =").starts_with("job.toml:1:4: not valid TOML at \"=\": expected a key"));
  CHECK(complaint("[\na]") ==
        "job.toml:1:2: not valid TOML at the end of the line: expected a key");
  CHECK(complaint("[]").starts_with("job.toml:1:2: not valid TOML at \"]\": "));
  CHECK(complaint("[").starts_with("job.toml:1:2: not valid TOML at the end of the line: "));
}

TEST_CASE("dates, infinity and NaN are refused") {
  CHECK(complaint("start = 1979-05-27") ==
        "job.toml:1:9: start is a date or time, which no volt document has");
  CHECK(complaint("a = [07:32:00]") ==
        "job.toml:1:6: a is a date or time, which no volt document has");
  CHECK(complaint("a = 1979-05-27T07:32:00Z").starts_with("job.toml:1:5: a is a date or time"));
  CHECK(complaint("[t]\ntol = -inf") == "job.toml:2:7: tol is -inf, not a finite number");
  CHECK(complaint("tol = nan") == "job.toml:1:7: tol is nan, not a finite number");
}

TEST_CASE("TOML that is too long, no UTF-8, or has a NUL or a byte order mark is refused") {
  const std::string fits = "#" + std::string((64 << 10) - 1, 'x');
  CHECK(complaint(fits) == "nothing thrown");
  CHECK(complaint(fits + "x") == "job.toml: is 65537 bytes long, more than the 65536 allowed");
  CHECK(complaint("a = 1\nb = \"\xff\"") == "job.toml:2:6: not UTF-8 at \"\\xff\"");
  CHECK(complaint(std::string_view("a = 1\n\0", 7)) == "job.toml:2:1: has a NUL character");
  CHECK(complaint("\xef\xbb\xbf").starts_with("job.toml:1:1: begins with a byte order mark"));
}

TEST_CASE("what overruns the stack of toml++ never reaches it") {
  const auto dotted = [](int dots) {
    std::string key = "a";
    for (int i = 0; i < dots; ++i) key += ".a";
    return key;
  };
  CHECK(complaint(dotted(65) + " = 1") == "job.toml:1:130: the key has more than 64 dots");
  CHECK(complaint("[" + dotted(30000) + "]") == "job.toml:1:131: the key has more than 64 dots");
  CHECK(complaint("x = {" + dotted(65) + " = 1}").ends_with("the key has more than 64 dots"));
  CHECK(complaint("a = " + std::string(60000, '[')) ==
        "job.toml:1:37: nested deeper than 32 levels");
  // 64 dots pass that check, but make a tree that is too deep for volt.
  CHECK(complaint(dotted(64) + " = 1").ends_with("nested deeper than 32 levels"));
  CHECK(complaint(dotted(30) + " = 1") == "nothing thrown");
  CHECK(complaint(dotted(31) + " = {}").ends_with("nested deeper than 32 levels"));
  CHECK(complaint("a = " + std::string(31, '[') + std::string(31, ']')) == "nothing thrown");
}

TEST_CASE("dots and brackets in strings, comments and numbers are no nesting") {
  const std::string many = std::string(100, '.') + std::string(100, '[') + std::string(100, '{');
  for (const std::string& text :
       {"a = \"" + many + "\"", "a = '" + many + "'", "a = \"\\\"" + many + "\"",
        "a = \"\"\"\"\n" + many + "\"\"\"\"\"\nb = 1", "a = '''" + many + "'\n''" + many + "'''''",
        "# ' \" " + many + "\na = 1", "\"" + many + "\" = 1", "a = 'it' # don't " + many,
        "a = \"\" # " + many, "a = '\\'\nb = '" + many + "'"}) {
    CAPTURE(text);
    CHECK(complaint(text) == "nothing thrown");
  }
  std::string list = "a = [";
  for (int i = 0; i < 200; ++i) list += "0.5, ";
  CHECK(complaint(list + "]") == "nothing thrown");
}
