// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/split_pattern.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace volt::lm {
namespace {

using Words = std::vector<std::string>;

Words words(SplitPattern pattern, std::string_view text) {
  Words result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = match_end(pattern, text, at);
    REQUIRE(end > at);
    result.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return result;
}

constexpr auto gpt2 = SplitPattern::gpt2, llama3 = SplitPattern::llama3,
               qwen2 = SplitPattern::qwen2;

TEST_CASE("a pattern is known by its exact text") {
  for (const auto pattern : {gpt2, llama3, qwen2})
    CHECK(split_pattern(regex_of(pattern)) == pattern);
  CHECK(split_pattern("\\s+") == std::nullopt);
  CHECK(split_pattern("") == std::nullopt);
}

TEST_CASE("contractions: small letters for GPT-2, any case for the others") {
  CHECK(words(gpt2, "we'll") == Words{"we", "'ll"});
  CHECK(words(gpt2, "WE'LL") == Words{"WE", "'", "LL"});
  CHECK(words(llama3, "WE'LL it'S") == Words{"WE", "'LL", " it", "'S"});
  // Oniguruma folds the long s, U+017F, to s.
  CHECK(words(llama3, "it'\u017fx") == Words{"it", "'\u017f", "x"});
  CHECK(words(qwen2, "it'tx") == Words{"it", "'t", "x"});
  CHECK(words(gpt2, "it'\u017fx") == Words{"it", "'", "\u017fx"});
  CHECK(words(llama3, "'ve'v'") == Words{"'ve", "'v", "'"});
  CHECK(words(llama3, "a'sb") == Words{"a", "'s", "b"});
}

TEST_CASE("a space goes with what follows; for Llama 3 so does any mark before letters") {
  CHECK(words(gpt2, "a b 1 !?") == Words{"a", " b", " 1", " !?"});
  CHECK(words(llama3, "a b 1 !?") == Words{"a", " b", " ", "1", " !?"});
  CHECK(words(gpt2, "(a)\tb") == Words{"(", "a", ")", "\t", "b"});
  CHECK(words(llama3, "(a)\tb") == Words{"(a", ")", "\tb"});
  CHECK(words(llama3, "\na") == Words{"\n", "a"});
}

TEST_CASE("digits: all, three, or one") {
  CHECK(words(gpt2, "12345 6") == Words{"12345", " 6"});
  CHECK(words(llama3, "12345") == Words{"123", "45"});
  CHECK(words(qwen2, "12½") == Words{"1", "2", "½"});
}

TEST_CASE("the last of several spaces goes with the next word, unless they end the text") {
  CHECK(words(gpt2, "a   b") == Words{"a", "  ", " b"});
  CHECK(words(gpt2, "a   ") == Words{"a", "   "});
  CHECK(words(gpt2, "\n\n b") == Words{"\n\n", " b"});
  CHECK(words(llama3, "a \n  b") == Words{"a", " \n", " ", " b"});
  CHECK(words(llama3, "!\r\n\n x") == Words{"!\r\n\n", " x"});
  CHECK(words(llama3, " \u00a0 1") == Words{" \u00a0", " ", "1"});
  CHECK(words(llama3, "  \n \n") == Words{"  \n \n"});
}

TEST_CASE("marks are no letters") {
  CHECK(words(gpt2, "e\u0301x") == Words{"e", "\u0301", "x"});
  CHECK(words(llama3, "e\u0301x") == Words{"e", "\u0301x"});
}

}  // namespace
}  // namespace volt::lm
