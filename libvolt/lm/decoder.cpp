// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/decoder.hpp"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "libvolt/base/text.hpp"
#include "libvolt/lm/byte_alphabet.hpp"

namespace volt::lm {

Decoder::Decoder(const doc::Fields& root, const doc::Value& tokenizer, const doc::Source& source) {
  for (doc::Fields& fields : steps_of(root, tokenizer, source, "decoder", "decoders"))
    steps_.push_back(read(fields));
}

Decoder::Step Decoder::read(doc::Fields& fields) {
  constexpr std::array<std::string_view, 6> types{"ByteFallback", "ByteLevel", "Fuse",
                                                  "Metaspace",    "Replace",   "Strip"};
  const std::string& type = fields.choice("type", types);
  if (type == "Replace") return Replace::read(fields);
  Step step = Fuse{};
  if (type == "ByteFallback") step = ByteFallback{};
  if (type == "Strip") step = read_strip(fields);
  if (type == "Metaspace") {
    const MetaspaceSettings spaces = MetaspaceSettings::read(fields);
    step = Metaspace{spaces.replacement, spaces.prepend != MetaspaceSettings::Prepend::never};
  }
  if (type == "ByteLevel") {
    // Settings of the pre-tokenizer of that name; nothing here.
    for (const auto key : {"add_prefix_space", "trim_offsets", "use_regex"}) fields.find(key);
    step = ByteLevel{};
  }
  fields.refuse_others();
  return step;
}

Decoder::Strip Decoder::read_strip(doc::Fields& fields) {
  constexpr std::int64_t most = 1024;
  return {one_character(fields, "content"),
          static_cast<std::size_t>(fields.integer("start", 0, most)),
          static_cast<std::size_t>(fields.integer("stop", 0, most))};
}

namespace {

/// The byte that a token like "<0x0A>" stands for.
std::optional<char> byte_of(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : token.substr(3, 2)) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto digit = digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return static_cast<char>(value);
}

/// Bytes that follow each other become one token if they are UTF-8, else one each: what comes
/// behind, such as Strip, tells these apart.
std::vector<std::string> join_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> result;
  std::string bytes;
  const auto flush = [&] {
    if (is_utf8(bytes) && !bytes.empty())
      result.push_back(bytes);
    else
      for (const char byte : bytes) result.emplace_back(1, byte);
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const auto byte = byte_of(token)) {
      bytes += *byte;
    } else {
      flush();
      result.push_back(token);
    }
  }
  flush();
  return result;
}

/// `token` without the `character`s, `start` at most, that it begins with, and `stop` at its end.
std::string stripped(std::string_view token, std::string_view character, std::size_t start,
                     std::size_t stop) {
  for (; start > 0 && token.starts_with(character); --start) token.remove_prefix(character.size());
  for (; stop > 0 && token.ends_with(character); --stop) token.remove_suffix(character.size());
  return std::string(token);
}

}  // namespace

Decoder::Tokens Decoder::apply_one(const Step& step, Tokens tokens, std::size_t most) {
  if (std::get_if<Fuse>(&step) != nullptr) return {join(tokens, "")};
  if (std::get_if<ByteFallback>(&step) != nullptr) return join_bytes(tokens);
  if (std::get_if<ByteLevel>(&step) != nullptr) {
    std::string bytes;
    for (const std::string& token : tokens) bytes += from_byte_alphabet(token).value_or(token);
    return {bytes};
  }
  if (const auto* strip = std::get_if<Strip>(&step))
    for (std::string& token : tokens)
      token = stripped(token, strip->character, strip->start, strip->stop);
  if (const auto* metaspace = std::get_if<Metaspace>(&step))
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = Replace{metaspace->replacement, i == 0 && metaspace->prefixed ? "" : " "}.apply(
          tokens[i], most);
  if (const auto* replace = std::get_if<Replace>(&step))
    for (std::string& token : tokens) {
      token = replace->apply(token, most);
      most -= token.size();
    }
  return tokens;
}

std::string Decoder::apply(std::vector<std::string> tokens) const {
  if (steps_.empty()) return join(tokens, " ");
  std::size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  for (const Step& step : steps_) tokens = apply_one(step, std::move(tokens), longest(bytes));
  return join(tokens, "");
}

}  // namespace volt::lm
