// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/lm/vocabulary.hpp"

namespace volt::lm {

/// Byte pair encoding (Sennrich et al. 2016, arXiv:1508.07909) as the `tokenizers` library does it:
/// a word begins as its characters; then, as long as there is one, the pair of neighbours whose
/// merge comes first in the list, the leftmost of equals, becomes one token.
class Bpe {
 public:
  struct Settings {
    std::optional<std::string> unknown_token;  ///< for a character that has no token
    bool fuse_unknown = false;                 ///< one such token for neighbours
    bool byte_fallback = false;                ///< rather the tokens "<0x00>" to "<0xFF>"
    bool ignore_merges = false;                ///< a word that is a token is just that
  };

  /// `left` and `right`, neighbours, become `merged`, whose text must be theirs together.
  struct Merge {
    std::uint32_t left, right, merged;
  };

  /// Lists of one encoding, kept so that a word costs no allocation.
  struct Scratch {
    struct Symbol {
      std::uint32_t id, previous, next;  // neighbours by index; at the ends `none`
      std::uint32_t rank, merged;        // of the merge with the next; rank is `none` without one
    };
    std::vector<Symbol> symbols;
    std::vector<std::uint64_t> queue;  // rank << 32 | index, a heap with the least on top
  };

  /// The rank of a merge is its place in `merges`; of two for one pair the last counts.
  Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, Settings settings);

  /// Adds the ids of `word`, which is UTF-8 of less than 2^30 bytes. Takes time n log n. A
  /// character without token is left out if there is no unknown token. Throws Error (usage) when
  /// that is not in the vocabulary.
  void encode(std::string_view word, Scratch& scratch, std::vector<std::uint32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  static constexpr std::uint32_t none = UINT32_MAX;
  struct Row {
    std::uint32_t right, rank, merged;
  };

  std::uint32_t token_of(std::string_view character) const;
  void begin(std::string_view word, Scratch& scratch) const;
  bool add_bytes(std::string_view character, Scratch& scratch) const;
  void look_up_merge(Scratch& scratch, std::uint32_t at) const;
  void merge(Scratch& scratch) const;
  void merge_with_next(Scratch& scratch, std::uint32_t at) const;

  Vocabulary vocabulary_;
  Settings settings_;
  std::uint32_t unknown_ = none;
  std::array<std::uint32_t, 256> bytes_{};  // the tokens "<0x00>" to "<0xFF>", or `none`
  std::array<std::uint32_t, 0x180>
      first_{};  // of the first characters of Unicode: the byte alphabet
  // The merges of each left token rise by the right one: found without hashes, which a list of
  // merges could be made to defeat.
  std::vector<std::uint32_t> rows_begin_;  // by left id, and one more
  std::vector<Row> rows_;
};

}  // namespace volt::lm
