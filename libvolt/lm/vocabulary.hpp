// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace volt::lm {

constexpr std::uint32_t max_tokens = std::uint32_t{1} << 24;
constexpr std::size_t max_token_bytes = std::size_t{1} << 16;

/// Tokens and their ids, both ways. Looking up takes bounded time, whatever the tokens are.
class Vocabulary {
 public:
  /// Room for `tokens` of them.
  explicit Vocabulary(std::size_t tokens);

  /// Throws Error (usage), to be noted with the place by the caller: an id of `max_tokens` or more,
  /// a token of more than `max_token_bytes`, either there already, more than 2 GiB in all, or more
  /// than 64 tokens of one hash, which no honest vocabulary has.
  void add(std::string_view token, std::uint32_t id);

  std::optional<std::uint32_t> find(std::string_view token) const;
  bool has(std::uint32_t id) const { return id < entries_.size() && entries_[id].begin != absent; }
  /// Empty when no token has this id.
  std::string_view text(std::uint32_t id) const;

  std::uint32_t count() const { return count_; }
  /// One more than the largest id.
  std::uint32_t end() const { return static_cast<std::uint32_t>(entries_.size()); }

 private:
  static constexpr std::uint32_t absent = UINT32_MAX;
  struct Entry {
    std::uint32_t begin = absent, size = 0;  // in texts_
    std::uint32_t next = absent;             // id of another token in the same bucket
  };

  std::uint32_t& bucket(std::string_view token);

  std::string texts_;
  std::vector<Entry> entries_;          // by id
  std::vector<std::uint32_t> buckets_;  // the first id of each; their number is a power of two
  std::uint32_t count_ = 0;
};

}  // namespace volt::lm
