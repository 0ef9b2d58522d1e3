// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/decoder.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "libvolt/doc/read.hpp"

namespace volt::lm {
namespace {

/// What the steps in `json` make of `tokens`.
std::string text(const std::string& json, const std::vector<std::string>& tokens) {
  const doc::Value tokenizer =
      doc::parse_json(R"({"decoder":{"type":"Sequence","decoders":[)" + json + "]}}", "t.json");
  const doc::Source source{"t.json"};
  return Decoder(doc::Fields(tokenizer, source), tokenizer, source).apply(tokens);
}

TEST_CASE("without a decoder the tokens are a list") { CHECK(text("", {"a", "b"}) == "a b"); }

TEST_CASE("the byte alphabet is read where a token keeps to it") {
  const std::string level = R"({"type":"ByteLevel"})";
  CHECK(text(level, {"Ġa", "Ã", "©", "Ċ"}) == " aé\n");
  CHECK(text(level, {"<s>", "▁Ġ", "Ġ"}) == "<s>▁Ġ ");
}

TEST_CASE("bytes stand for themselves, UTF-8 or not") {
  const std::string bytes = R"({"type":"ByteFallback"})";
  CHECK(text(bytes, {"a", "<0xC3>", "<0xa9>", "b"}) == "aéb");
  CHECK(text(bytes, {"<0xC3>", "b", "<0xFF>"}) ==
        "\xc3"
        "b\xff");
  CHECK(text(bytes, {"<0xG0>", "<0x1>", "<0x001>"}) == "<0xG0><0x1><0x001>");
}

TEST_CASE("Strip takes so many from each end of each token") {
  const std::string strip = R"({"type":"Strip","content":"_","start":2,"stop":1})";
  CHECK(text(strip, {"___a__", "_b", "_"}) == "_a_b");
  CHECK(text(R"({"type":"Fuse"},)" + strip, {"___a__", "_b", "_"}) == "_a___b");
  // Bytes that are UTF-8 together are one token to it, others one each.
  CHECK(text(R"({"type":"ByteFallback"},)" + strip, {"<0x5F>", "<0x5F>", "<0x5F>"}) == "");
  CHECK(text(R"({"type":"ByteFallback"},)" + strip, {"<0x5F>", "<0x5F>", "<0x5F>", "<0x5F>"}) ==
        "_");
  CHECK(text(R"({"type":"ByteFallback"},)" + strip,
             {"<0xFF>", "<0x5F>", "<0x5F>", "<0x5F>", "<0x5F>"}) == "\xff");
}

TEST_CASE("the mark in front goes if one was put there") {
  const auto of = [](const std::string& scheme) {
    return text(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":")" + scheme + "\"}",
                {"▁a▁", "▁b"});
  };
  CHECK(of("always") == "a b");
  CHECK(of("first") == "a b");
  CHECK(of("never") == " a  b");
}

}  // namespace
}  // namespace volt::lm
