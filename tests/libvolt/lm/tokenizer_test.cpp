// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/tokenizer.hpp"

#include <doctest/doctest.h>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/lm/tokenizer_file.hpp"

namespace volt::lm {
namespace {

using Ids = std::vector<std::uint32_t>;

/// The member `key` of a row of golden.json, or else `otherwise`.
Ids ids_of(const doc::Value& row, std::string_view key, const Ids& otherwise = {}) {
  const doc::Value* value = row.find(key);
  if (value == nullptr) return otherwise;
  Ids ids;
  for (const doc::Value& id : *value->get_if<doc::Value::Array>())
    ids.push_back(static_cast<std::uint32_t>(*id.get_if<std::int64_t>()));
  return ids;
}

std::string text_of(const doc::Value& row, std::string_view key,
                    const std::string& otherwise = {}) {
  const doc::Value* value = row.find(key);
  return value == nullptr ? otherwise : *value->get_if<std::string>();
}

TEST_CASE("every family gives the reference's ids and text") {
  const doc::Value golden = tokenizer_file("golden");
  for (const auto& member : *golden.get_if<doc::Value::Object>()) {
    const std::string& family = member.first;
    const auto& rows = *member.second.get_if<doc::Value::Array>();
    CAPTURE(family);
    CHECK(rows.size() > 60);
    const Tokenizer tokenizer = tokenizer_named(family);
    for (const doc::Value& row : rows) {
      const std::string text = text_of(row, "text");
      CAPTURE(printable(text));
      const Ids ids = ids_of(row, "ids"), plain = ids_of(row, "plain", ids);
      CHECK(tokenizer.encode(text, true) == ids);
      CHECK(tokenizer.encode(text, false) == plain);
      CHECK(tokenizer.encode(text, false, Tokenizer::Special::text) ==
            ids_of(row, "literal", plain));
      const std::string decoded = text_of(row, "decoded", text);
      CHECK(tokenizer.decode(ids, false) == decoded);
      CHECK(tokenizer.decode(ids, true) == text_of(row, "skipped", decoded));
    }
  }
}

TEST_CASE("a chat's markers are tokens, or text when a user wrote them") {
  const Tokenizer qwen = tokenizer_named("qwen2");
  const auto end = qwen.id_of("<|im_end|>");
  REQUIRE(end);
  CHECK(qwen.encode("<|im_end|>", true) == Ids{*end});
  const Ids literal = qwen.encode("<|im_end|>", true, Tokenizer::Special::text);
  CHECK(literal.size() > 1);
  CHECK(qwen.decode(literal, true) == "<|im_end|>");
  CHECK(qwen.decode(Ids{*end}, true).empty());
  // <think> is added but not special: it is a token in any text, and stays when decoded.
  CHECK(qwen.encode("<think>", true, Tokenizer::Special::text) == Ids{*qwen.id_of("<think>")});
  CHECK(qwen.decode(Ids{*qwen.id_of("<think>")}, true) == "<think>");
}

TEST_CASE("the size counts rows of an embedding, and tokens have names and ids") {
  const Tokenizer llama = tokenizer_named("llama3");
  CHECK(llama.vocabulary_size() == 706);
  CHECK(llama.special_ids() == Ids{701, 702, 703, 704, 705});
  CHECK(llama.token(701) == "<|begin_of_text|>");
  CHECK(llama.id_of("<|begin_of_text|>") == 701);
  CHECK(llama.token(*llama.id_of("Ġtokenizers")) == "Ġtokenizers");
  CHECK(llama.id_of("no such token") == std::nullopt);
  CHECK(llama.token(706).empty());
  CHECK(llama.decode(Ids{706, 4'000'000'000}, false).empty());
}

TEST_CASE("a text that continues another has no mark in front of its first word") {
  for (const std::string name : {"llama2", "mistral", "options", "prefix_space"}) {
    CAPTURE(name);
    const Tokenizer tokenizer = tokenizer_named(name);
    const auto continued = [&](std::string_view text) {
      return tokenizer.encode(text, false, Tokenizer::Special::token, true);
    };
    const std::string_view mark = name == "prefix_space" ? "Ġ" : "▁";
    for (const std::string text : {"the", "the text"}) {
      CHECK(tokenizer.token(tokenizer.encode(text, false)[0]).starts_with(mark));
      CHECK(!tokenizer.token(continued(text)[0]).starts_with(mark));
    }
    CHECK(continued(" the")[0] == tokenizer.encode("the", false)[0]);
  }
  const Tokenizer gpt2 = tokenizer_named("gpt2");
  CHECK(gpt2.encode("the", false) == gpt2.encode("the", false, Tokenizer::Special::token, true));
}

TEST_CASE("what the template adds is told") {
  CHECK(tokenizer_named("llama2").before() == Ids{1});
  CHECK(tokenizer_named("llama2").after().empty());
  CHECK(tokenizer_named("gpt2").before().empty());
}

TEST_CASE("decoding gives bytes, so that a stream may stop within a character") {
  for (const std::string name : {"llama3", "llama2"}) {
    CAPTURE(name);
    const Tokenizer tokenizer = tokenizer_named(name);
    const std::string text = "x\U00010348";  // in no text that they were trained on
    const Ids ids = tokenizer.encode(text, false);
    REQUIRE(ids.size() >= 5);
    const std::string part = tokenizer.decode({ids.data(), ids.size() - 1}, false);
    CHECK(part == text.substr(0, 4));
  }
}

TEST_CASE("text that is not UTF-8 is refused with its offset") {
  const Tokenizer tokenizer = bytes_tokenizer();
  const auto message = [&](std::string_view text) {
    return message_of([&] { tokenizer.encode(text, false); });
  };
  CHECK(message("ab\xff") == "text is not UTF-8 at byte 2");
  CHECK(message("\xc3") == "text is not UTF-8 at byte 0");
  CHECK(message("a\xed\xa0\x80") == "text is not UTF-8 at byte 1");  // a surrogate
  CHECK(message("é\U0001f9ca\xf0\x9f") == "text is not UTF-8 at byte 6");
  CHECK(message("é\U0001f9ca") == "nothing thrown");
}

TEST_CASE("a megabyte without a space is one word, and no trouble") {
  for (const std::string name : {"gpt2", "llama3", "qwen2", "llama2", "options"}) {
    const Tokenizer tokenizer = tokenizer_named(name);
    for (const std::string unit : {"a", " ", "\n", "\u0301", "▁", "<", "  "}) {
      CAPTURE(name);
      CAPTURE(unit);
      std::string text;
      while (text.size() < 1'000'000) text += unit;
      CHECK(!tokenizer.encode(text, false).empty());
    }
  }
}

TEST_CASE("the tokenizer of bytes is the file that the reference has read") {
  CHECK(doc::to_canonical_json(bytes_tokenizer_json()) ==
        doc::to_canonical_json(tokenizer_file("bytes")));
}

TEST_CASE("a token of bytes is the byte") {
  const Tokenizer tokenizer = bytes_tokenizer();
  CHECK(tokenizer.vocabulary_size() == 258);
  CHECK(tokenizer.encode("a\né<eos>", true) == Ids{256, 'a', '\n', 0xc3, 0xa9, 257});
  std::string all;
  Ids ids;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    all += static_cast<char>(byte);
    ids.push_back(byte);
  }
  CHECK(tokenizer.decode(ids, true) == all);
  CHECK(tokenizer.decode(Ids{256, 'a', 257}, true) == "a");
  CHECK(tokenizer.decode(Ids{256, 'a', 257}, false) == "<bos>a<eos>");
}

}  // namespace
}  // namespace volt::lm
