// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/pattern.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <span>
#include <string>

#include "libvolt/base/text.hpp"

using namespace volt;
using namespace volt::schema;

using Strings = std::vector<std::string>;

TEST_CASE("a pattern names paths segment by segment") {
  CHECK(matches("a.txt", "a.txt"));
  CHECK_FALSE(matches("a.txt", "b/a.txt"));
  CHECK(matches("*", "a"));
  CHECK_FALSE(matches("*", "a/b"));
  CHECK(matches("*/*.tx[st]", "logs/a.txt"));
  CHECK(matches("a?c", "abc"));
  CHECK(matches("a\\*", "a*"));
  CHECK_FALSE(matches("a\\*", "ab"));
  CHECK_FALSE(matches("a", "a/b"));
  CHECK_FALSE(matches("a/b", "a"));
  CHECK_FALSE(matches("", "a"));
  CHECK_FALSE(matches("/a", "a"));
  CHECK_FALSE(matches("a/", "a"));
  CHECK(matches("*", "\xff\n"));
}

TEST_CASE("two stars stand for any number of folders") {
  for (const char* path : {"a.txt", "x/a.txt", "x/y/a.txt"}) CHECK(matches("**/a.txt", path));
  CHECK_FALSE(matches("**/a.txt", "x/b.txt"));
  CHECK(matches("x/**/y/*", "x/y/a"));
  CHECK(matches("x/**/y/*", "x/y/y/y/a"));
  CHECK_FALSE(matches("x/**/y/*", "x/a"));
  for (const char* path : {"x/a", "x/y/a"}) CHECK(matches("x/**", path));
  CHECK_FALSE(matches("x/**", "x"));
  CHECK(matches("**", "x"));
  CHECK(matches("**/**", "x"));
  CHECK(matches("**/**/x/**", "x/x"));
  CHECK(matches("a**", "abc"));
}

TEST_CASE("a leading dot is named by a dot alone") {
  CHECK(matches(".*", ".a"));
  CHECK(matches("x/.a", "x/.a"));
  for (const char* pattern : {"*", "?a", "[.]a", "**"}) CHECK_FALSE(matches(pattern, ".a"));
  CHECK_FALSE(matches("**/a", ".x/a"));
  CHECK_FALSE(matches("*/a", ".x/a"));
  CHECK(matches("**/.x/**", "y/.x/a"));
}

TEST_CASE("patterns name what their definition says") {
  using View = std::span<const std::string_view>;
  const std::function<bool(View, View)> named = [&](View pattern, View path) {
    if (pattern.empty() || path.empty()) return pattern.empty() && path.empty();
    if (pattern.front() == "**" && named(pattern.subspan(1), path)) return true;
    const bool fits =
        pattern.front() == path.front() || pattern.front() == "*" || pattern.front() == "**";
    return fits && named(pattern.subspan(pattern.front() == "**" ? 0 : 1), path.subspan(1));
  };
  std::mt19937 random(3);
  const auto made = [&](const Strings& segments, std::size_t most) {
    Strings chosen(1 + random() % most);
    for (auto& segment : chosen) segment = segments[random() % segments.size()];
    return join(chosen, "/");
  };
  for (int i = 0; i < 20'000; ++i) {
    const auto pattern = made({"a", "b", "*", "**"}, 5), path = made({"a", "b"}, 6);
    CAPTURE(pattern);
    CAPTURE(path);
    const auto last_folders = pattern.ends_with("**") ? pattern + "/*" : pattern;
    CHECK(matches(pattern, path) == named(split(last_folders, '/'), split(path, '/')));
  }
}

TEST_CASE("no pattern takes long, and none reaches deeper than 64 segments") {
  std::string pattern, path;
  for (int i = 0; i < 31; ++i) pattern += "**/*/", path += "a/a/";
  CHECK_FALSE(matches(pattern + "b", path + "a"));
  CHECK(matches(pattern + "a", path + "a"));
  CHECK(matches("**/a", path + "a/a"));
  CHECK_FALSE(matches("**/a", path + "a/a/a"));
  CHECK_FALSE(matches(path + "a/a/a", path + "a/a/a"));
  CHECK(matches(path + "a/**", path + "a/a"));
  CHECK_FALSE(matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(255, 'a')));
}
