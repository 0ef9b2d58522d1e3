// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/bpe.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/libvolt/doc/message.hpp"

namespace volt::lm {
namespace {

using Ids = std::vector<std::uint32_t>;

/// Ids rise from 0 in the order of `tokens`.
Vocabulary vocabulary(const std::vector<std::string>& tokens) {
  Vocabulary result(tokens.size());
  for (const std::string& token : tokens) result.add(token, result.count());
  return result;
}

Ids encode(const Bpe& model, std::string_view word) {
  Bpe::Scratch scratch;
  Ids ids;
  model.encode(word, scratch, ids);
  return ids;
}

TEST_CASE("the merge that comes first in the list is done first, the leftmost of equals") {
  // 0 a, 1 b, 2 c, 3 ab, 4 bc, 5 abc, 6 aa
  const Bpe model(vocabulary({"a", "b", "c", "ab", "bc", "abc", "aa"}),
                  {{1, 2, 4}, {0, 1, 3}, {0, 4, 5}, {0, 0, 6}}, {});
  CHECK(encode(model, "abc") == Ids{5});
  CHECK(encode(model, "ab") == Ids{3});
  CHECK(encode(model, "aaa") == Ids{6, 0});
  CHECK(encode(model, "") == Ids{});
}

TEST_CASE("of two merges of one pair the last counts") {
  // 0 a, 1 b, 2 c, 3 ab, 4 bc: the second "a b" comes after "b c".
  const Bpe model(vocabulary({"a", "b", "c", "ab", "bc"}), {{0, 1, 3}, {1, 2, 4}, {0, 1, 3}}, {});
  CHECK(encode(model, "abc") == Ids{0, 4});
}

TEST_CASE("a word that is a token is that token when merges are ignored") {
  Bpe::Settings settings;
  settings.ignore_merges = true;
  CHECK(encode(Bpe(vocabulary({"a", "b", "ab"}), {}, settings), "ab") == Ids{2});
  CHECK(encode(Bpe(vocabulary({"a", "b", "ab"}), {}, {}), "ab") == Ids{0, 1});
}

TEST_CASE("characters without token: left out, unknown, fused, or bytes") {
  Bpe::Settings settings;
  const auto ids = [&](std::string_view word) {
    return encode(Bpe(vocabulary({"<unk>", "a", "<0xC3>", "<0xA9>"}), {}, settings), word);
  };
  CHECK(ids("axya") == Ids{1, 1});
  settings.unknown_token = "<unk>";
  CHECK(ids("axya") == Ids{1, 0, 0, 1});
  settings.fuse_unknown = true;
  CHECK(ids("axya") == Ids{1, 0, 1});
  settings.byte_fallback = true;
  CHECK(ids("aéa") == Ids{1, 2, 3, 1});
  CHECK(ids("aèa") == Ids{1, 0, 1});  // "<0xA8>" is missing: then no byte of it is used
  CHECK(ids("xé") == Ids{2, 3, 0});   // as the reference: bytes pass an unknown that waits
}

/// The definition, in the square of the time.
Ids by_definition(const std::vector<Bpe::Merge>& merges, Ids ids) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::pair<std::size_t, std::uint32_t>> ranks;
  for (std::size_t rank = 0; rank < merges.size(); ++rank)
    ranks[{merges[rank].left, merges[rank].right}] = {rank, merges[rank].merged};
  for (;;) {
    auto best = ranks.end();
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = ranks.find({ids[i], ids[i + 1]});
      if (found == ranks.end()) continue;
      if (best != ranks.end() && best->second.first <= found->second.first) continue;
      best = found;
      at = i;
    }
    if (best == ranks.end()) return ids;
    ids[at] = best->second.second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST_CASE("words of any length are what the definition says, whatever the merges") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> tokens{"a", "b", "c"};
    std::vector<Bpe::Merge> merges;
    // Not trained: a merge may come before those that make its sides.
    for (int i = 0; i < 40; ++i) {
      const auto left = static_cast<std::uint32_t>(random() % tokens.size());
      const auto right = static_cast<std::uint32_t>(random() % tokens.size());
      const std::string both = tokens[left] + tokens[right];
      if (both.size() > 12) continue;
      const auto place = std::find(tokens.begin(), tokens.end(), both);
      merges.push_back({left, right, static_cast<std::uint32_t>(place - tokens.begin())});
      if (place == tokens.end()) tokens.push_back(both);
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const Bpe model(vocabulary(tokens), merges, {});
    for (int i = 0; i < 50; ++i) {
      std::string word;
      Ids ids;
      for (std::size_t length = random() % 40; word.size() < length;) {
        ids.push_back(static_cast<std::uint32_t>(random() % 3));
        word += "abc"[ids.back()];
      }
      CHECK(encode(model, word) == by_definition(merges, ids));
    }
  }
}

TEST_CASE("a vocabulary refuses what would make it ambiguous or slow") {
  Vocabulary one(1);
  one.add("a", 3);
  CHECK(one.find("a") == 3);
  CHECK(one.find("b") == std::nullopt);
  CHECK(one.end() == 4);
  CHECK(one.count() == 1);
  CHECK(one.text(2).empty());
  CHECK(message_of([&] { one.add("a", 4); }) == "token \"a\" is there twice");
  CHECK(message_of([&] { one.add("b", 3); }) == "token \"b\" has the id 3, and \"a\" has it too");
  CHECK(message_of([&] { one.add("b", max_tokens); }) ==
        "token \"b\" has the id 16777216, not one below 2^24");
  // Made for one token, so that all are in one bucket, as tokens found for that purpose would be.
  for (std::uint32_t id = 4; id < 67; ++id) one.add("token " + std::to_string(id), id);
  CHECK(message_of([&] { one.add("b", 67); }) ==
        "token \"b\" is one of more than 64 with the same hash");
}

}  // namespace
}  // namespace volt::lm
