// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/doc/read.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/lm/added_tokens.hpp"
#include "libvolt/lm/bpe.hpp"
#include "libvolt/lm/decoder.hpp"
#include "libvolt/lm/normalizer.hpp"
#include "libvolt/lm/pre_tokenizer.hpp"

namespace volt::lm {

/// Text to token ids and back, as the `tokenizers` library does it, for the byte pair encodings of
/// GPT-2, Llama, Mistral, Qwen and SmolLM2. Its functions may be called by several threads at once.
class Tokenizer {
 public:
  struct Parts {
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    Bpe model;
    Decoder decoder;
    std::vector<AddedToken> added;
    std::vector<std::uint32_t> before, after;  ///< ids around a text with its special tokens
  };
  /// Throws Error (usage) when two added tokens are the same text once normalized.
  explicit Tokenizer(Parts parts);

  /// What "<|im_end|>" in a text is: that token, or ten characters like any other.
  enum class Special { token, text };

  /// The ids of `utf8`, of at most 256 MiB; `add_special_tokens` puts those of the template around
  /// them, such as a BOS. Where words are marked, as with "▁", the first one of a text is too,
  /// unless it `continues` another, which the reference cannot say. Takes time n log n, and memory
  /// of about 30 bytes a byte of the longest word. Throws Error (usage) with the offset of the
  /// first byte that is not UTF-8.
  std::vector<std::uint32_t> encode(std::string_view utf8, bool add_special_tokens,
                                    Special special = Special::token, bool continues = false) const;

  /// The bytes that `ids` stand for, which end within a character when `ids` do. An id without
  /// token stands for nothing: embeddings often have more rows than there are tokens.
  std::string decode(std::span<const std::uint32_t> ids, bool skip_special_tokens) const;

  /// One more than the largest id: the rows that an embedding needs.
  std::uint32_t vocabulary_size() const;
  std::optional<std::uint32_t> id_of(std::string_view token) const;
  /// As in tokenizer.json; empty when no token has this id.
  std::string_view token(std::uint32_t id) const;
  /// Those marked special, rising.
  const std::vector<std::uint32_t>& special_ids() const { return special_ids_; }
  /// What `add_special_tokens` puts before a text and behind it.
  const std::vector<std::uint32_t>& before() const { return parts_.before; }
  const std::vector<std::uint32_t>& after() const { return parts_.after; }

 private:
  struct Added {
    std::string content;
    std::string decoded;   ///< the content as the model would write it
    bool special = false;  ///< left out on demand
  };

  void encode_text(std::string_view text, Place place, bool special, Bpe::Scratch& scratch,
                   std::vector<std::uint32_t>& ids) const;
  void encode_words(std::string text, Place place, Bpe::Scratch& scratch,
                    std::vector<std::uint32_t>& ids) const;

  Parts parts_;
  AddedTokens found_raw_, found_normalized_;  // before and after normalization
  std::map<std::uint32_t, Added> added_;
  std::map<std::string, std::uint32_t, std::less<>> added_ids_;
  std::vector<std::uint32_t> special_ids_;
};

/// What a tokenizer.json may be like.
constexpr doc::Limits tokenizer_limits{std::size_t{64} << 20, 16};

/// Reads a tokenizer.json. "truncation" and "padding" are left alone: they are about batches.
/// Throws Error (usage) naming `origin` and the part that volt does not read or that contradicts
/// another, before any work.
Tokenizer parse_tokenizer(const doc::Value& tokenizer_json, std::string_view origin);

/// The tokenizer.json of models that are trained from scratch and have none: token b < 256 is the
/// byte b, 256 is <bos>, which encode puts in front, and 257 is <eos>.
doc::Value bytes_tokenizer_json();
Tokenizer bytes_tokenizer();

}  // namespace volt::lm
