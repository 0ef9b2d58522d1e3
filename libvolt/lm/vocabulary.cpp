// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/vocabulary.hpp"

#include <algorithm>
#include <bit>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::lm {
namespace {

constexpr std::size_t max_texts = std::size_t{1} << 31;
constexpr int max_in_bucket = 64;

/// FNV-1a, with its high bits, the better mixed ones, folded into those that choose the bucket.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value ^ value >> 32;
}

[[noreturn]] void fail(std::string_view token, const std::string& what) {
  throw Error(Exit::usage, "token \"" + printable(token, 60) + "\" " + what);
}

}  // namespace

Vocabulary::Vocabulary(std::size_t tokens)
    : buckets_(std::bit_ceil(std::clamp<std::size_t>(tokens, 1, max_tokens)), absent) {
  entries_.reserve(buckets_.size());
}

std::uint32_t& Vocabulary::bucket(std::string_view token) {
  return buckets_[hash(token) & (buckets_.size() - 1)];
}

void Vocabulary::add(std::string_view token, std::uint32_t id) {
  if (id >= max_tokens) fail(token, "has the id " + std::to_string(id) + ", not one below 2^24");
  if (token.size() > max_token_bytes) fail(token, "takes more than 64 KiB");
  if (token.size() > max_texts - texts_.size()) fail(token, "makes them more than 2 GiB");
  if (has(id))
    fail(token, "has the id " + std::to_string(id) + ", and \"" + printable(text(id), 60) +
                    "\" has it too");
  std::uint32_t& first = bucket(token);
  int length = 0;
  for (std::uint32_t other = first; other != absent; other = entries_[other].next) {
    if (text(other) == token) fail(token, "is there twice");
    if (++length == max_in_bucket) fail(token, "is one of more than 64 with the same hash");
  }
  if (id >= entries_.size()) entries_.resize(std::size_t{id} + 1);
  entries_[id] = {static_cast<std::uint32_t>(texts_.size()),
                  static_cast<std::uint32_t>(token.size()), first};
  first = id;
  texts_ += token;
  ++count_;
}

std::optional<std::uint32_t> Vocabulary::find(std::string_view token) const {
  const std::size_t at = hash(token) & (buckets_.size() - 1);
  for (std::uint32_t id = buckets_[at]; id != absent; id = entries_[id].next) {
    if (text(id) == token) return id;
  }
  return std::nullopt;
}

std::string_view Vocabulary::text(std::uint32_t id) const {
  if (!has(id)) return {};
  return std::string_view(texts_).substr(entries_[id].begin, entries_[id].size);
}

}  // namespace volt::lm
