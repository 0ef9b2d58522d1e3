// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/bpe.hpp"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/unicode.hpp"

namespace volt::lm {
namespace {

void add(Bpe::Scratch& scratch, std::uint32_t id) {
  const auto at = static_cast<std::uint32_t>(scratch.symbols.size());
  scratch.symbols.push_back({id, at - 1, at + 1, UINT32_MAX, 0});
}

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, Settings settings)
    : vocabulary_(std::move(vocabulary)), settings_(std::move(settings)) {
  if (settings_.unknown_token) unknown_ = vocabulary_.find(*settings_.unknown_token).value_or(none);
  for (std::uint32_t byte = 0; byte < bytes_.size(); ++byte) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const std::string name{'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
    bytes_[byte] = vocabulary_.find(name).value_or(none);
  }
  for (std::uint32_t code = 0; code < first_.size(); ++code) {
    std::string character;
    append_utf8(character, code);
    first_[code] = vocabulary_.find(character).value_or(none);
  }

  struct Ranked {
    std::uint32_t left;
    Row row;
  };
  std::vector<Ranked> sorted;
  sorted.reserve(merges.size());
  for (const Merge& one : merges)
    sorted.push_back(
        {one.left, {one.right, static_cast<std::uint32_t>(sorted.size()), one.merged}});
  // The last merge of a pair first.
  std::sort(sorted.begin(), sorted.end(), [](const Ranked& a, const Ranked& b) {
    return std::tie(a.left, a.row.right, b.row.rank) < std::tie(b.left, b.row.right, a.row.rank);
  });
  const auto same_pair = [](const Ranked& a, const Ranked& b) {
    return a.left == b.left && a.row.right == b.row.right;
  };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same_pair), sorted.end());

  rows_begin_.resize(std::size_t{vocabulary_.end()} + 1);
  rows_.reserve(sorted.size());
  for (const Ranked& one : sorted) {
    ++rows_begin_[std::size_t{one.left} + 1];
    rows_.push_back(one.row);
  }
  for (std::size_t id = 1; id < rows_begin_.size(); ++id) rows_begin_[id] += rows_begin_[id - 1];
}

std::uint32_t Bpe::token_of(std::string_view character) const {
  const char32_t code = character_at(character, 0).code;
  return code < first_.size() ? first_[code] : vocabulary_.find(character).value_or(none);
}

bool Bpe::add_bytes(std::string_view character, Scratch& scratch) const {
  const auto token = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
  for (const char c : character)
    if (token(c) == none) return false;
  for (const char c : character) add(scratch, token(c));
  return true;
}

void Bpe::begin(std::string_view word, Scratch& scratch) const {
  scratch.symbols.clear();
  // Unknown characters wait for the next known one; the reference lets byte tokens pass them.
  bool waiting = false;
  for (std::size_t at = 0; at < word.size();) {
    const auto character = word.substr(at, character_at(word, at).length);
    at += character.size();
    if (const std::uint32_t id = token_of(character); id != none) {
      if (std::exchange(waiting, false)) add(scratch, unknown_);
      add(scratch, id);
      continue;
    }
    if (settings_.byte_fallback && add_bytes(character, scratch)) continue;
    if (!settings_.unknown_token) continue;
    if (unknown_ == none)
      throw Error(Exit::usage, "no token for \"" + printable(character) + "\", and unk_token \"" +
                                   printable(*settings_.unknown_token) +
                                   "\" is not in the vocabulary");
    if (waiting && !settings_.fuse_unknown) add(scratch, unknown_);
    waiting = true;
  }
  if (waiting) add(scratch, unknown_);
  if (!scratch.symbols.empty()) scratch.symbols.back().next = none;
}

void Bpe::look_up_merge(Scratch& scratch, std::uint32_t at) const {
  auto& symbol = scratch.symbols[at];
  symbol.rank = none;
  if (symbol.next == none) return;
  const std::uint32_t right = scratch.symbols[symbol.next].id;
  const auto begin = rows_.begin() + rows_begin_[symbol.id];
  const auto end = rows_.begin() + rows_begin_[std::size_t{symbol.id} + 1];
  const auto row = std::lower_bound(
      begin, end, right, [](const Row& one, std::uint32_t id) { return one.right < id; });
  if (row == end || row->right != right) return;
  symbol.rank = row->rank;
  symbol.merged = row->merged;
}

void Bpe::merge_with_next(Scratch& scratch, std::uint32_t at) const {
  auto& symbol = scratch.symbols[at];
  auto& right = scratch.symbols[symbol.next];
  symbol.id = symbol.merged;
  symbol.next = right.next;
  right.id = right.rank = none;
  if (symbol.next != none) scratch.symbols[symbol.next].previous = at;
}

void Bpe::merge(Scratch& scratch) const {
  auto& [symbols, queue] = scratch;
  queue.clear();
  const auto push = [&, this](std::uint32_t at) {
    look_up_merge(scratch, at);
    if (scratch.symbols[at].rank == none) return false;
    scratch.queue.push_back(std::uint64_t{scratch.symbols[at].rank} << 32 | at);
    return true;
  };
  const std::greater<> least_on_top;
  for (std::uint32_t at = 0; at < symbols.size(); ++at) push(at);
  std::make_heap(queue.begin(), queue.end(), least_on_top);
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), least_on_top);
    const std::uint64_t top = queue.back();
    queue.pop_back();
    const auto at = static_cast<std::uint32_t>(top);
    // A rank names one pair: whatever is out of date has another, or none.
    if (symbols[at].rank != top >> 32) continue;
    merge_with_next(scratch, at);
    if (push(at)) std::push_heap(queue.begin(), queue.end(), least_on_top);
    const std::uint32_t before = symbols[at].previous;
    if (before != none && push(before)) std::push_heap(queue.begin(), queue.end(), least_on_top);
  }
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<std::uint32_t>& ids) const {
  if (word.empty()) return;
  if (settings_.ignore_merges) {
    if (const auto id = vocabulary_.find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  begin(word, scratch);
  merge(scratch);
  for (const auto& symbol : scratch.symbols)
    if (symbol.id != none) ids.push_back(symbol.id);
}

}  // namespace volt::lm
