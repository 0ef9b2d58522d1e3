// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/pre_tokenizer.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "libvolt/doc/read.hpp"

namespace volt::lm {
namespace {

using List = std::vector<std::string>;

/// The words of `text` by the steps in `json`.
List words(const std::string& json, const std::string& text, Place place = Place::start) {
  const doc::Value tokenizer = doc::parse_json(
      R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[)" + json + "]}}", "t.json");
  const doc::Source source{"t.json"};
  const Words found =
      PreTokenizer(doc::Fields(tokenizer, source), tokenizer, source).apply(text, place);
  List list;
  std::size_t begin = 0;
  for (const std::size_t end : found.ends) {
    list.push_back(found.text.substr(begin, end - begin));
    begin = end;
  }
  CHECK(begin == found.text.size());
  return list;
}

TEST_CASE("no step, no cut; no text, no word") {
  CHECK(words("", "a b") == List{"a b"});
  CHECK(words("", "") == List{});
}

TEST_CASE("digits are cut off, one by one or together") {
  const std::string digits = R"({"type":"Digits","individual_digits":)";
  CHECK(words(digits + "true}", "ab12½c") == List{"ab", "1", "2", "½", "c"});
  CHECK(words(digits + "false}", "ab12½c") == List{"ab", "12½", "c"});
}

TEST_CASE("spaces become marks, one in front: always, at the start of the input, or never") {
  const auto of = [](const std::string& scheme, const std::string& text,
                     Place place = Place::start) {
    return words(
        R"({"type":"Metaspace","replacement":"▁","split":true,"prepend_scheme":")" + scheme + "\"}",
        text, place);
  };
  CHECK(of("always", "a  b") == List{"▁a", "▁", "▁b"});
  CHECK(of("always", "a", Place::middle) == List{"▁a"});
  CHECK(of("always", " a") == List{"▁a"});
  CHECK(of("first", "a b") == List{"▁a", "▁b"});
  CHECK(of("first", "a b", Place::middle) == List{"a", "▁b"});
  for (const std::string scheme : {"always", "first"})
    CHECK(of(scheme, "a b", Place::continued) == List{"a", "▁b"});
  CHECK(of("never", "a b") == List{"a", "▁b"});
  CHECK(words(R"({"type":"Metaspace","replacement":"▁","split":false})", "a b") == List{"▁a▁b"});
}

TEST_CASE("only the first word is at the start") {
  CHECK(words(R"({"type":"Digits","individual_digits":true},)"
              R"({"type":"Metaspace","replacement":"_","prepend_scheme":"first"})",
              "1a") == List{"_1", "a"});
}

TEST_CASE("ByteLevel puts a space before each part and cuts as GPT-2 does, if asked to") {
  const std::string level = R"({"type":"ByteLevel","add_prefix_space":)";
  CHECK(words(level + "true}", "a b") == List{" a", " b"});
  CHECK(words(level + "true}", "a b", Place::continued) == List{"a", " b"});
  CHECK(words(level + "true,\"use_regex\":false}", "a b") == List{" a b"});
  CHECK(words(level + "false}", "a b") == List{"a", " b"});
  CHECK(words(R"({"type":"Digits","individual_digits":true},)" + level + "true}", "a12") ==
        List{" a", " 1", " 2"});
}

}  // namespace
}  // namespace volt::lm
