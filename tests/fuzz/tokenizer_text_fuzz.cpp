// SPDX-License-Identifier: Apache-2.0
// libFuzzer: a text comes back from the ids that a byte-level tokenizer makes of it, and is refused
// if and only if it is not UTF-8; form C of form C is itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/split_pattern.hpp"
#include "libvolt/lm/tokenizer.hpp"
#include "libvolt/lm/unicode.hpp"

using namespace volt;
using doc::Value;

namespace {

/// The tokenizer of bytes with words by `pattern`, and merges that meet in many texts.
lm::Tokenizer tokenizer_of(lm::SplitPattern pattern) {
  Value json = lm::bytes_tokenizer_json();
  Value::Object split{
      {"type", "Split"},
      {"pattern", Value::Object{{"Regex", lm::regex_of(pattern)}}},
      {"behavior", "Isolated"},
      {"invert", false},
  };
  *json.find("pre_tokenizer") =
      Value::Object{{"type", "Sequence"},
                    {"pretokenizers", Value::Array{std::move(split), *json.find("pre_tokenizer")}}};
  *json.find("added_tokens") = Value::Array{};
  *json.find("post_processor") = nullptr;
  auto& vocabulary = *json.find("model")->find("vocab")->get_if<Value::Object>();
  auto& merges = *json.find("model")->find("merges")->get_if<Value::Array>();
  for (const char* merge : {"a a", "Ġ Ġ", "aa aa", "Ã ©", "Ġ a", "ðŁ ĺ", "ð Ł", "ĠĠ ĠĠ", "' s"}) {
    std::string both = merge;
    both.erase(both.find(' '), 1);
    vocabulary.emplace_back(both, static_cast<std::int64_t>(vocabulary.size()));
    merges.emplace_back(merge);
  }
  return lm::parse_tokenizer(json, "t.json");
}

const std::vector<lm::Tokenizer>& tokenizers() {
  using lm::SplitPattern;
  static const std::vector<lm::Tokenizer> all{
      lm::bytes_tokenizer(), tokenizer_of(SplitPattern::gpt2), tokenizer_of(SplitPattern::llama3),
      tokenizer_of(SplitPattern::qwen2)};
  return all;
}

bool comes_back(const lm::Tokenizer& tokenizer, std::string_view text) {
  try {
    return tokenizer.decode(tokenizer.encode(text, false), false) == text;
  } catch (const Error& error) {
    if (error.code() != Exit::usage || is_utf8(text)) std::abort();
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : tokenizers())
    if (comes_back(tokenizer, text) != is_utf8(text)) std::abort();
  if (!is_utf8(text)) return 0;
  const std::string normal = lm::to_nfc(text);
  if (lm::to_nfc(normal) != normal) std::abort();
  return 0;
}
