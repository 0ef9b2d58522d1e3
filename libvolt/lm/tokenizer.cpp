// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/tokenizer.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/byte_alphabet.hpp"

namespace volt::lm {
namespace {

constexpr std::size_t max_text = std::size_t{256} << 20;

/// Where the first byte is that belongs to no character.
std::size_t first_wrong(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 1;
    while (length <= 4 && !is_utf8(text.substr(at, length))) ++length;
    if (length > 4) return at;
    at += length;
  }
  return text.size();
}

void check_text(std::string_view text) {
  if (text.size() > max_text)
    throw Error(Exit::usage,
                "text has " + std::to_string(text.size()) + " bytes, more than 256 MiB",
                "encode it in parts, such as paragraphs");
  if (!is_utf8(text))
    throw Error(Exit::usage, "text is not UTF-8 at byte " + std::to_string(first_wrong(text)));
}

}  // namespace

Tokenizer::Tokenizer(Parts parts) : parts_(std::move(parts)) {
  std::vector<AddedTokens::Entry> raw, normalized;
  std::set<std::string_view> special;
  for (const AddedToken& token : parts_.added) {
    Added& added = added_[token.id];
    added.content = added.decoded = token.content;
    added_ids_[token.content] = token.id;
    if (token.special) {
      special.insert(token.content);
      special_ids_.push_back(token.id);
    }
    if (token.normalized) {
      added.decoded = parts_.normalizer.apply(token.content, false);
      if (added.decoded.empty())
        throw Error(Exit::usage, "added token \"" + printable(token.content, 60) +
                                     "\" is empty once normalized");
    }
    (token.normalized ? normalized : raw).push_back({added.decoded, token});
  }
  // By text, as the reference does: a special token that normalization changes is not left out.
  for (auto& entry : added_) entry.second.special = special.contains(entry.second.decoded);
  std::sort(special_ids_.begin(), special_ids_.end());
  found_raw_ = AddedTokens(std::move(raw));
  found_normalized_ = AddedTokens(std::move(normalized));
}

std::vector<std::uint32_t> Tokenizer::encode(std::string_view utf8, bool add_special_tokens,
                                             Special special, bool continues) const {
  check_text(utf8);
  std::vector<std::uint32_t> ids;
  ids.reserve(utf8.size() / 4 + 16);
  if (add_special_tokens) ids = parts_.before;
  Bpe::Scratch scratch;
  const bool as_tokens = special == Special::token;
  const Place start = continues ? Place::continued : Place::start;
  for (const auto& section : found_raw_.find(utf8, as_tokens)) {
    if (section.id)
      ids.push_back(*section.id);
    else
      encode_text(utf8.substr(section.begin, section.end - section.begin),
                  section.begin == 0 ? start : Place::middle, as_tokens, scratch, ids);
  }
  if (add_special_tokens) ids.insert(ids.end(), parts_.after.begin(), parts_.after.end());
  return ids;
}

void Tokenizer::encode_text(std::string_view text, Place place, bool special, Bpe::Scratch& scratch,
                            std::vector<std::uint32_t>& ids) const {
  const std::string normalized = parts_.normalizer.apply(text, place == Place::continued);
  for (const auto& section : found_normalized_.find(normalized, special)) {
    if (section.id)
      ids.push_back(*section.id);
    else
      encode_words(normalized.substr(section.begin, section.end - section.begin),
                   section.begin == 0 ? place : Place::middle, scratch, ids);
  }
}

void Tokenizer::encode_words(std::string text, Place place, Bpe::Scratch& scratch,
                             std::vector<std::uint32_t>& ids) const {
  const Words words = parts_.pre_tokenizer.apply(std::move(text), place);
  const bool byte_level = parts_.pre_tokenizer.byte_level();
  std::string spelled;
  std::size_t begin = 0;
  for (const std::size_t end : words.ends) {
    auto word = std::string_view(words.text).substr(begin, end - begin);
    if (byte_level) {
      spelled.clear();
      append_in_byte_alphabet(spelled, word);
      word = spelled;
    }
    parts_.model.encode(word, scratch, ids);
    begin = end;
  }
}

std::string Tokenizer::decode(std::span<const std::uint32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::uint32_t id : ids) {
    if (const auto found = added_.find(id); found != added_.end()) {
      if (!skip_special_tokens || !found->second.special) tokens.push_back(found->second.decoded);
    } else if (parts_.model.vocabulary().has(id)) {
      tokens.emplace_back(parts_.model.vocabulary().text(id));
    }
  }
  return parts_.decoder.apply(std::move(tokens));
}

std::uint32_t Tokenizer::vocabulary_size() const {
  const std::uint32_t end = parts_.model.vocabulary().end();
  return added_.empty() ? end : std::max(end, added_.rbegin()->first + 1);
}

std::optional<std::uint32_t> Tokenizer::id_of(std::string_view token) const {
  if (const auto found = added_ids_.find(token); found != added_ids_.end()) return found->second;
  return parts_.model.vocabulary().find(token);
}

std::string_view Tokenizer::token(std::uint32_t id) const {
  if (const auto found = added_.find(id); found != added_.end()) return found->second.content;
  return parts_.model.vocabulary().text(id);
}

}  // namespace volt::lm
