// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/added_tokens.hpp"

#include <algorithm>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/unicode.hpp"

namespace volt::lm {
namespace {

unsigned byte(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// The character that ends at byte `end` > 0.
Character character_before(std::string_view utf8, std::size_t end) {
  std::size_t at = end - 1;
  while ((byte(utf8, at) & 0xc0) == 0x80) --at;
  return character_at(utf8, at);
}

std::size_t past_space(std::string_view utf8, std::size_t at) {
  while (at < utf8.size()) {
    const Character one = character_at(utf8, at);
    if (!is_space(one.code)) break;
    at += one.length;
  }
  return at;
}

/// Where the white space that ends at `end` begins, not before `first`.
std::size_t space_begin(std::string_view utf8, std::size_t end, std::size_t first) {
  while (end > first) {
    const Character one = character_before(utf8, end);
    if (!is_space(one.code)) break;
    end -= one.length;
  }
  return end;
}

bool is_single_word(std::string_view utf8, std::size_t begin, std::size_t end) {
  return (begin == 0 || !is_word(character_before(utf8, begin).code)) &&
         (end == utf8.size() || !is_word(character_at(utf8, end).code));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.text < b.text; });
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.text == b.text; });
  if (twice != entries_.end())
    throw Error(Exit::usage, "added tokens " + std::to_string(twice->token.id) + " and " +
                                 std::to_string((twice + 1)->token.id) + " are both \"" +
                                 printable(twice->text, 60) + "\"");
  for (const Entry& entry : entries_) ++begins_[byte(entry.text, 0) + 1];
  for (std::size_t first = 1; first < begins_.size(); ++first) begins_[first] += begins_[first - 1];
}

const AddedTokens::Entry* AddedTokens::longest_at(std::string_view utf8, std::size_t at) const {
  const unsigned first = byte(utf8, at);
  auto low = entries_.begin() + begins_[first];
  auto high = entries_.begin() + begins_[first + 1];
  const Entry* longest = nullptr;
  // Those from `low` to `high` agree with the text in `depth` bytes.
  for (std::size_t depth = 1; low != high; ++depth) {
    if (low->text.size() == depth) longest = &*low++;
    if (at + depth == utf8.size()) break;
    const unsigned next = byte(utf8, at + depth);
    low = std::partition_point(low, high,
                               [&](const Entry& one) { return byte(one.text, depth) < next; });
    high = std::partition_point(low, high,
                                [&](const Entry& one) { return byte(one.text, depth) <= next; });
  }
  return longest;
}

std::vector<AddedTokens::Section> AddedTokens::find(std::string_view utf8, bool special) const {
  std::vector<Section> sections;
  std::size_t done = 0;       // what is before it is in sections
  std::size_t space_end = 0;  // of the white space looked at last: it is passed once only
  for (std::size_t at = 0; at < utf8.size();) {
    const Entry* entry = longest_at(utf8, at);
    if (entry == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + entry->text.size();
    at = end;
    const AddedToken& token = entry->token;
    if (token.special && !special) continue;
    if (token.single_word && !is_single_word(utf8, begin, end)) continue;
    if (token.lstrip) begin = std::max(space_begin(utf8, begin, done), done);
    if (token.rstrip) end = space_end = past_space(utf8, std::max(end, space_end));
    if (done < begin) sections.push_back({done, begin, std::nullopt});
    if (begin < end) sections.push_back({begin, end, token.id});
    done = end;
  }
  if (done < utf8.size()) sections.push_back({done, utf8.size(), std::nullopt});
  return sections;
}

}  // namespace volt::lm
