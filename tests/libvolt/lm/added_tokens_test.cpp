// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/added_tokens.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace volt::lm {
namespace {

/// Tokens as their ids in braces, and the text between them.
std::string sections(const std::vector<AddedToken>& tokens, std::string_view text,
                     bool special = true) {
  std::vector<AddedTokens::Entry> entries;
  for (const AddedToken& token : tokens) entries.push_back({token.content, token});
  std::string shown;
  for (const auto& one : AddedTokens(std::move(entries)).find(text, special)) {
    shown += shown.empty() ? "" : "|";
    if (one.id)
      shown += "{" + std::to_string(*one.id) + "}";
    else
      shown += text.substr(one.begin, one.end - one.begin);
  }
  return shown;
}

AddedToken token(std::uint32_t id, const std::string& content) {
  AddedToken result;
  result.id = id;
  result.content = content;
  return result;
}

TEST_CASE("the leftmost, and of those the longest") {
  const std::vector<AddedToken> tokens{token(1, "ab"), token(2, "abc"), token(3, "bcd"),
                                       token(4, "b")};
  CHECK(sections(tokens, "abcd") == "{2}|d");
  CHECK(sections(tokens, "xabdab") == "x|{1}|d|{1}");
  CHECK(sections(tokens, "bcbcdb") == "{4}|c|{3}|{4}");
  CHECK(sections(tokens, "a") == "a");
  CHECK(sections(tokens, "") == "");
  CHECK(sections({}, "a") == "a");
}

TEST_CASE("white space is taken along, once") {
  AddedToken left = token(1, "<l>"), right = token(2, "<r>");
  left.lstrip = right.rstrip = true;
  CHECK(sections({left, right}, "a \u3000<l> b <r>\n c") == "a|{1}| b |{2}|c");
  CHECK(sections({left, right}, "<r>  <l>") == "{2}|{1}");
}

TEST_CASE("a token within white space that another took") {
  AddedToken right = token(1, "<r>"), tab = token(2, "\t");
  right.rstrip = true;
  CHECK(sections({right, tab}, "<r>\t x") == "{1}|{2}| x");  // as the reference: the space is back
  tab.lstrip = true;
  CHECK(sections({right, tab}, "<r>\tx") == "{1}|x");
  // Here the reference panics.
  CHECK(sections({right, tab}, "<r>\t x") == "{1}| x");
}

TEST_CASE("a single word has no letter, digit or mark beside it") {
  AddedToken word = token(1, "w");
  word.single_word = true;
  CHECK(sections({word}, "w w-w wé éw w_ w\u0301 1w") == "{1}| |{1}|-|{1}| wé éw w_ w\u0301 1w");
}

TEST_CASE("special tokens are text on demand, and hide what is within them") {
  AddedToken special = token(1, "<b>");
  special.special = true;
  CHECK(sections({special, token(2, "b")}, "<b>b") == "{1}|{2}");
  CHECK(sections({special, token(2, "b")}, "<b>b", false) == "<b>|{2}");
}

}  // namespace
}  // namespace volt::lm
