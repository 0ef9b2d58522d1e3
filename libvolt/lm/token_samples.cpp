// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/token_samples.hpp"

#include <algorithm>
#include <limits>

#include "libvolt/base/error.hpp"

namespace volt::lm {
namespace {

bool is_eos(const TextEncoder& encoder, TokenId token) {
  return std::find(encoder.eos.begin(), encoder.eos.end(), token) != encoder.eos.end();
}

/// Whether the trained tokens that end the sample, some at least, end the text as well.
bool is_ended(const TokenSample& sample, Sample::Kind kind, const TextEncoder& encoder) {
  if (sample.tokens.empty() || sample.trained.back() == 0) return true;  // no answer to be ended
  if (kind != Sample::Kind::chat) return is_eos(encoder, sample.tokens.back());
  // Behind the EOS a template may write a line end.
  for (std::size_t i = sample.tokens.size(); i-- > 0 && sample.trained[i] != 0;)
    if (is_eos(encoder, sample.tokens[i])) return true;
  return false;
}

}  // namespace

TokenSample tokenise(const Sample& sample, const TextEncoder& encoder) {
  TokenSample result;
  for (const auto& segment : sample.segments) {
    const auto ids = encoder.encode(segment.text, !result.tokens.empty());
    result.tokens.insert(result.tokens.end(), ids.begin(), ids.end());
    result.trained.resize(result.tokens.size(), segment.trained);
  }
  const bool has_bos = encoder.bos && !result.tokens.empty() && result.tokens[0] == *encoder.bos;
  if (has_bos && result.tokens.size() > 1 && result.tokens[1] == *encoder.bos)
    throw Error(Exit::usage,
                sample.place + ": begins with the BOS token (id " + std::to_string(*encoder.bos) +
                    ") twice",
                "the chat template writes it, or the data has it already: leave out one of them");
  if (sample.kind != Sample::Kind::chat && encoder.adds_bos && encoder.bos && !has_bos) {
    result.tokens.insert(result.tokens.begin(), *encoder.bos);
    result.trained.insert(result.trained.begin(), std::uint8_t{0});
  }
  if (!is_ended(result, sample.kind, encoder)) {
    if (encoder.eos.empty())
      throw Error(Exit::usage, sample.place + ": the tokenizer has no EOS token to end it with",
                  "name it as eos_token in the model's tokenizer_config.json");
    result.tokens.push_back(encoder.eos.front());
    result.trained.push_back(1);
  }
  return result;
}

std::span<const TokenId> TokenSamples::tokens(std::uint32_t sample) const {
  return std::span(tokens_).subspan(begin(sample), length(sample));
}

std::span<const std::uint8_t> TokenSamples::trained(std::uint32_t sample) const {
  return std::span(trained_).subspan(begin(sample), length(sample));
}

std::uint32_t TokenSamples::length(std::uint32_t sample) const {
  return static_cast<std::uint32_t>(ends_[sample] - begin(sample));
}

void TokenSamples::add(const TokenSample& sample, Sample::Kind kind) {
  ++counts_.given;
  std::span<const TokenId> tokens(sample.tokens);
  std::span<const std::uint8_t> trained(sample.trained);
  if (kind != Sample::Kind::document && tokens.size() > context_) {
    ++counts_.shortened;
    counts_.tokens_cut_off += tokens.size() - context_;
    tokens = tokens.first(context_);
    trained = trained.first(context_);
  }
  while (tokens.size() > context_) {
    keep(tokens.first(context_), trained.first(context_));
    tokens = tokens.subspan(context_);
    trained = trained.subspan(context_);
  }
  keep(tokens, trained);
}

void TokenSamples::keep(std::span<const TokenId> tokens, std::span<const std::uint8_t> trained) {
  const auto predicted =
      tokens.empty() ? 0 : std::count(trained.begin() + 1, trained.end(), std::uint8_t{1});
  if (predicted == 0) {
    ++counts_.all_masked;
    return;
  }
  if (ends_.size() == std::numeric_limits<std::uint32_t>::max())
    throw Error(Exit::usage, "the data has more than 4,294,967,295 samples");
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  trained_.insert(trained_.end(), trained.begin(), trained.end());
  ends_.push_back(tokens_.size());
  counts_.tokens += tokens.size();
  counts_.predicted += static_cast<std::uint64_t>(predicted);
}

}  // namespace volt::lm
