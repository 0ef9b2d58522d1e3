// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/pack.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/exact.hpp"
#include "libvolt/base/error.hpp"

namespace volt::lm {
namespace {

constexpr std::size_t open_rows = 64;

std::vector<std::uint32_t> permutation(std::uint32_t count, std::uint64_t seed,
                                       std::uint32_t stream, std::uint32_t epoch) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  for (std::uint32_t i = count; i-- > 1;) {
    const std::uint64_t block = std::uint64_t{epoch} << 32 | i / 4;
    const std::uint64_t word = kernels::random_block(seed, stream, block).word[i % 4];
    // The places differ in probability by count / 2^32: far less than anybody could see.
    std::swap(order[i], order[word * (std::uint64_t{i} + 1) >> 32]);
  }
  return order;
}

struct OpenRow {
  std::uint64_t index;
  std::uint32_t left;  // tokens
};

/// Of rows in the order of their opening, the fullest with at least `needed` tokens left.
std::vector<OpenRow>::iterator fullest(std::vector<OpenRow>& rows, std::uint32_t needed) {
  auto best = rows.end();
  for (auto row = rows.begin(); row != rows.end(); ++row)
    if (row->left >= needed && (best == rows.end() || row->left < best->left)) best = row;
  return best;
}

}  // namespace

std::vector<std::uint32_t> shuffled(std::uint32_t count, std::uint64_t seed, std::uint32_t epoch) {
  return permutation(count, seed, shuffle_stream, epoch);
}

Split split_samples(std::uint32_t count, std::uint32_t millionths, std::uint64_t seed) {
  constexpr std::uint64_t million = 1'000'000;
  const std::uint64_t held_out = (std::uint64_t{count} * millionths + million - 1) / million;
  if (held_out >= count)
    throw Error(Exit::usage,
                "of " + std::to_string(count) + " samples " + std::to_string(held_out) +
                    " would be held out for evaluation: nothing is left to train on",
                "give a smaller share, or a file of its own, as eval");
  auto order = permutation(count, seed, split_stream, 0);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(held_out);
  Split split{{middle, order.end()}, {order.begin(), middle}};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.eval.begin(), split.eval.end());
  return split;
}

std::span<const std::uint32_t> Packing::row(std::uint64_t index) const {
  return std::span(samples).subspan(row_begin[index], row_begin[index + 1] - row_begin[index]);
}

Packing pack(const TokenSamples& samples, std::span<const std::uint32_t> order) {
  Packing packing;
  packing.context = samples.context();
  std::vector<OpenRow> open;
  std::vector<std::uint64_t> row_of(order.size()), filled;  // filled: samples of each row
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t length = samples.length(order[i]);
    auto row = fullest(open, length);
    if (row == open.end()) {
      if (open.size() == open_rows) open.erase(fullest(open, 0));
      row = open.insert(open.end(), {filled.size(), packing.context});
      filled.push_back(0);
    }
    row->left -= length;
    row_of[i] = row->index;
    ++filled[row->index];
    packing.tokens += length;
  }
  packing.row_begin.assign(filled.size() + 1, 0);
  std::partial_sum(filled.begin(), filled.end(), packing.row_begin.begin() + 1);
  packing.samples.resize(order.size());
  auto place = packing.row_begin;
  for (std::size_t i = 0; i < order.size(); ++i) packing.samples[place[row_of[i]]++] = order[i];
  return packing;
}

}  // namespace volt::lm
