// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/mask.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace volt::run;

namespace {

/// The whole text masked by the definition: the longest secret at the earliest place.
std::string by_definition(const std::vector<std::string>& secrets, std::string_view text) {
  std::string masked;
  while (!text.empty()) {
    std::size_t longest = 0;
    for (const auto& secret : secrets) {
      if (text.starts_with(secret)) longest = std::max(longest, secret.size());
    }
    masked += longest == 0 ? text.substr(0, 1) : "***";
    text.remove_prefix(std::max<std::size_t>(longest, 1));
  }
  return masked;
}

std::string whole(const std::vector<std::string>& secrets, std::string_view text) {
  Mask mask(secrets);
  const std::string begin = mask.add(text);
  return begin + mask.flush();
}

}  // namespace

TEST_CASE("a secret is replaced wherever it stands") {
  CHECK(whole({"key"}, "key, a key: key") == "***, a ***: ***");
  CHECK(whole({"key"}, "ke y") == "ke y");
  CHECK(whole({"key"}, "") == "");
  CHECK(whole({"a"}, "aa") == "******");
  CHECK(whole({"*"}, "a*b") == "a***b");
  CHECK(whole({std::string("\0\xff", 2)}, std::string("a\0\0\xff", 4)) == std::string("a\0***", 5));
}

TEST_CASE("without secrets nothing is changed or held back") {
  for (const std::vector<std::string>& none :
       {std::vector<std::string>{}, {""}, {"", "\n", "\r\n"}}) {
    Mask mask(none);
    CHECK(mask.add("some text\n") == "some text\n");
    CHECK(mask.flush().empty());
  }
}

TEST_CASE("of secrets at one place the longest is replaced, and the earliest of overlapping ones") {
  CHECK(whole({"pass", "password", "word"}, "password passwor word") == "*** ***wor ***");
  CHECK(whole({"abc", "cde"}, "abcde cde") == "***de ***");
  CHECK(whole({"aab"}, "aaab") == "a***");
  CHECK(whole({"abab", "b"}, "abaabab") == "a***a***");
}

TEST_CASE("only what may become a secret is held back") {
  Mask mask({"secret", "see"});
  CHECK(mask.add("a se") == "a ");
  CHECK(mask.add("cre") == "");
  CHECK(mask.add("am s") == "secream ");
  CHECK(mask.add("e") == "");
  CHECK(mask.add("e.") == "***.");
  CHECK(mask.add("secre") == "");
  CHECK(mask.flush() == "secre");
  CHECK(mask.flush() == "");
  CHECK(mask.add("t") == "t");
}

TEST_CASE("a secret that may still become a longer one is masked at a pause") {
  Mask mask({"pass", "password"});
  CHECK(mask.add("passw") == "");
  CHECK(mask.flush() == "***w");
}

TEST_CASE("of a secret of several lines each line of some length counts as well") {
  const std::string key = "-----BEGIN\r\nshort\nAAAABBBB\n\n1234567\n";
  CHECK(whole({key}, "[" + key + "]") == "[***\n]");
  CHECK(whole({key}, "-----BEGIN short AAAABBBB 1234567") == "*** short *** 1234567");
  CHECK(whole({"short\n"}, "short") == "***");
  Mask mask({key});
  CHECK(mask.add("-----BEGIN\r\nsh") == "");
  CHECK(mask.add("ell") == "***\r\nshell");
}

TEST_CASE("a text in pieces is masked like the whole text") {
  std::mt19937 random(7);
  const auto text = [&](std::size_t letters, std::size_t bytes) {
    std::string made;
    while (made.size() < bytes) made += std::string_view("ab\0\xff", 4)[random() % letters];
    return made;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::size_t letters = 1 + random() % 4;
    std::vector<std::string> secrets(1 + random() % 4);
    for (auto& secret : secrets) secret = text(letters, random() % 7);
    const std::string input = text(letters, random() % 60);
    const std::size_t max_piece = 1 + random() % 9;
    Mask mask(secrets);
    std::string output;
    for (std::size_t at = 0; at < input.size();) {
      const std::size_t piece = 1 + random() % max_piece;
      output += mask.add(std::string_view(input).substr(at, piece));
      at += std::min(piece, input.size() - at);
    }
    output += mask.flush();
    CHECK(output == by_definition(secrets, input));
    CHECK(whole(secrets, input) == output);
  }
}

TEST_CASE("what is held back is the beginning of a secret, and no more of the text") {
  const std::vector<std::string> secrets{"aac", "abaac", "cb"};
  std::mt19937 random(8);
  Mask mask(secrets);
  for (int i = 0; i < 3000; ++i) {
    Mask copy = mask;
    const std::string held = copy.flush();
    CHECK(std::any_of(secrets.begin(), secrets.end(), [&](const auto& secret) {
      return secret.starts_with(held) && secret.size() > held.size();
    }));
    mask.add(std::string_view("abc").substr(random() % 3, 1));
  }
}
