// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "libvolt/lm/data.hpp"

namespace volt::lm {

using TokenId = std::uint32_t;

/// What samples need to know of a tokenizer.
struct TextEncoder {
  /// Ids of the tokens of a text, special ones that are written out in it included, and none that
  /// is not. `continues`: the text goes on from another, so that a vocabulary that marks the first
  /// word of a text does not mark this one.
  std::function<std::vector<TokenId>(std::string_view text, bool continues)> encode;
  std::optional<TokenId> bos;
  bool adds_bos = false;     ///< whether the tokenizer puts it before every text
  std::vector<TokenId> eos;  ///< those that end a text; the first one is written
};

/// Tokens of one sample, and whether the model is to learn to write each.
struct TokenSample {
  std::vector<TokenId> tokens;
  std::vector<std::uint8_t> trained;  ///< as long as `tokens`
};

/// Tokenises each segment alone, as a prompt is when the model is used. Texts and documents get BOS
/// if the tokenizer adds it, and a trained EOS if none ends them; a chat is as its template writes
/// it, but if it ends with an answer in which there is no EOS, it gets a trained one, as the model
/// would never learn to stop. Throws Error (usage) naming `sample.place` if two BOS begin it, or
/// the tokenizer has no EOS.
TokenSample tokenise(const Sample& sample, const TextEncoder& encoder);

/// The samples of a data set, none longer than the context. There is no padding token anywhere:
/// what is trained is told by masks, so that EOS may have any id.
class TokenSamples {
 public:
  /// `context` is at least 2 tokens.
  explicit TokenSamples(std::uint32_t context) : context_(context) {}

  /// Cuts a document into samples of `context` tokens, the last one shorter; of anything else that
  /// is too long the end is cut off. What then has no token to predict is left out and counted: a
  /// token is predicted if it is trained and not the first of its sample. Throws Error (usage)
  /// beyond 2^32 - 1 samples.
  void add(const TokenSample& sample, Sample::Kind kind);

  std::uint32_t size() const { return static_cast<std::uint32_t>(ends_.size()); }
  std::span<const TokenId> tokens(std::uint32_t sample) const;
  std::span<const std::uint8_t> trained(std::uint32_t sample) const;
  std::uint32_t length(std::uint32_t sample) const;
  std::uint32_t context() const { return context_; }

  struct Counts {
    std::uint64_t given = 0;           ///< samples added, before documents are cut
    std::uint64_t tokens = 0;          ///< kept
    std::uint64_t predicted = 0;       ///< of them
    std::uint64_t shortened = 0;       ///< samples whose end was cut off
    std::uint64_t tokens_cut_off = 0;  ///< of those
    std::uint64_t all_masked = 0;      ///< left out
  };
  const Counts& counts() const { return counts_; }

 private:
  void keep(std::span<const TokenId> tokens, std::span<const std::uint8_t> trained);
  std::uint64_t begin(std::uint32_t sample) const { return sample == 0 ? 0 : ends_[sample - 1]; }

  std::uint32_t context_;
  std::vector<TokenId> tokens_;
  std::vector<std::uint8_t> trained_;
  std::vector<std::uint64_t> ends_;
  Counts counts_;
};

}  // namespace volt::lm
