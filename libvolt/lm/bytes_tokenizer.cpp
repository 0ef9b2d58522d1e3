// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/byte_alphabet.hpp"
#include "libvolt/lm/tokenizer.hpp"

namespace volt::lm {
namespace {

using doc::Value;

constexpr std::int64_t bos = 256, eos = 257;

Value byte_level() {
  return Value::Object{{"type", "ByteLevel"},
                       {"add_prefix_space", false},
                       {"trim_offsets", true},
                       {"use_regex", false}};
}

Value special_token(std::int64_t id, std::string_view content) {
  return Value::Object{{"id", id},        {"content", content}, {"single_word", false},
                       {"lstrip", false}, {"rstrip", false},    {"normalized", false},
                       {"special", true}};
}

Value piece(std::string_view kind, std::string_view id, std::int64_t type_id) {
  return Value::Object{{std::string(kind), Value::Object{{"id", id}, {"type_id", type_id}}}};
}

/// <bos> in front of a text, and of each of two.
Value bos_template() {
  Value::Object token{
      {"id", "<bos>"}, {"ids", Value::Array{bos}}, {"tokens", Value::Array{Value("<bos>")}}};
  const Value first = piece("SpecialToken", "<bos>", 0), a = piece("Sequence", "A", 0);
  const Value second = piece("SpecialToken", "<bos>", 1), b = piece("Sequence", "B", 1);
  return Value::Object{{"type", "TemplateProcessing"},
                       {"single", Value::Array{first, a}},
                       {"pair", Value::Array{first, a, second, b}},
                       {"special_tokens", Value::Object{{"<bos>", std::move(token)}}}};
}

Value model() {
  Value::Object vocabulary;
  for (std::int64_t byte = 0; byte < 256; ++byte) {
    std::string token;
    const char value = static_cast<char>(byte);
    append_in_byte_alphabet(token, {&value, 1});
    vocabulary.emplace_back(std::move(token), byte);
  }
  return Value::Object{{"type", "BPE"},
                       {"dropout", nullptr},
                       {"unk_token", nullptr},
                       {"continuing_subword_prefix", nullptr},
                       {"end_of_word_suffix", nullptr},
                       {"fuse_unk", false},
                       {"byte_fallback", false},
                       {"ignore_merges", false},
                       {"vocab", std::move(vocabulary)},
                       {"merges", Value::Array{}}};
}

}  // namespace

Value bytes_tokenizer_json() {
  return Value::Object{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", Value::Array{special_token(bos, "<bos>"), special_token(eos, "<eos>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level()},
      {"post_processor", bos_template()},
      {"decoder", byte_level()},
      {"model", model()}};
}

Tokenizer bytes_tokenizer() {
  return parse_tokenizer(bytes_tokenizer_json(), "the tokenizer of bytes");
}

}  // namespace volt::lm
