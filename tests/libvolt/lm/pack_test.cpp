// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/pack.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/libvolt/doc/message.hpp"

namespace volt::lm {
namespace {

/// Sample i has lengths[i] tokens, all of value i; every third one trains its second half only.
TokenSamples made_of(const std::vector<std::uint32_t>& lengths, std::uint32_t context) {
  TokenSamples samples(context);
  for (std::uint32_t i = 0; i < lengths.size(); ++i) {
    TokenSample sample;
    sample.tokens.assign(lengths[i], i);
    sample.trained.assign(lengths[i], 1);
    if (i % 3 == 0) std::fill_n(sample.trained.begin(), lengths[i] / 2, std::uint8_t{0});
    samples.add(sample, Sample::Kind::text);
  }
  REQUIRE(samples.size() == lengths.size());
  return samples;
}

std::vector<std::uint32_t> lengths_of_chats(std::uint32_t count, std::uint32_t context) {
  std::mt19937 random(1);
  std::vector<std::uint32_t> lengths;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t short_one = 2 + random() % (context / 4),
                        long_one = 2 + random() % (context - 1);
    lengths.push_back(random() % 4 == 0 ? long_one : short_one);
  }
  return lengths;
}

std::vector<std::uint32_t> in_order(std::uint32_t count) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  return order;
}

}  // namespace

TEST_CASE("an epoch is a permutation, told by seed and epoch alone") {
  for (const std::uint32_t count : {0u, 1u, 2u, 5u, 1000u}) {
    auto order = shuffled(count, 7, 0);
    std::sort(order.begin(), order.end());
    CHECK(order == in_order(count));
  }
  CHECK(shuffled(1000, 7, 0) == shuffled(1000, 7, 0));
  CHECK(shuffled(1000, 7, 0) != shuffled(1000, 7, 1));
  CHECK(shuffled(1000, 7, 0) != shuffled(1000, 8, 0));
}

TEST_CASE("pack/1 is frozen: runs that are checked later shuffle and split as they did") {
  // By a Philox and a loop in Python that share nothing with this.
  CHECK(shuffled(10, 1, 0) == std::vector<std::uint32_t>{1, 7, 3, 0, 4, 8, 5, 9, 6, 2});
  CHECK(shuffled(10, 1, 3) == std::vector<std::uint32_t>{4, 3, 5, 1, 7, 6, 0, 9, 2, 8});
  CHECK(split_samples(10, 200'000, 1).eval == std::vector<std::uint32_t>{0, 5});
}

TEST_CASE("every place is about as likely as any other") {
  std::vector<int> first(8);
  for (std::uint32_t epoch = 0; epoch < 4000; ++epoch) ++first[shuffled(8, 1, epoch)[0]];
  for (const int times : first) CHECK(std::abs(times - 500) < 100);  // five standard deviations
}

TEST_CASE("a share is held out: at least one sample, never all, the same ones each time") {
  const auto split = split_samples(1000, 20'000, 1);  // 2 %
  CHECK(split.eval.size() == 20);
  std::vector<std::uint32_t> all;
  std::merge(split.train.begin(), split.train.end(), split.eval.begin(), split.eval.end(),
             std::back_inserter(all));
  CHECK(all == in_order(1000));
  CHECK(split_samples(1000, 20'000, 1).eval == split.eval);
  CHECK(split_samples(1000, 20'000, 2).eval != split.eval);
  CHECK(split_samples(3, 20'000, 1).eval.size() == 1);
  CHECK(split_samples(3, 0, 1).eval.empty());
  CHECK(message_of([] { split_samples(1, 20'000, 1); }) ==
        "of 1 samples 1 would be held out for evaluation: nothing is left to train on [give a "
        "smaller share, or a file of its own, as eval]");
}

TEST_CASE("each sample goes where least room is left for it") {
  const auto samples = made_of({6, 7, 3, 2, 4, 8}, 10);
  const auto packing = pack(samples, in_order(6));
  REQUIRE(packing.rows() == 4);
  const auto row = [&](std::uint64_t i) {
    return std::vector<std::uint32_t>(packing.row(i).begin(), packing.row(i).end());
  };
  CHECK(row(0) == std::vector<std::uint32_t>{0, 3});  // the row of 7 is full when 2 comes
  CHECK(row(1) == std::vector<std::uint32_t>{1, 2});
  CHECK(row(2) == std::vector<std::uint32_t>{4});
  CHECK(row(3) == std::vector<std::uint32_t>{5});
  CHECK(packing.tokens == 30);
  CHECK(packing.padding() == packing.rows() * 10 - 30);
}

TEST_CASE("at most 64 rows are open, and the fullest is closed") {
  std::vector<std::uint32_t> lengths(66, 6);
  lengths[5] = 7;  // the fullest of the first 64: full for ever when the 65th row opens
  lengths.push_back(3);
  lengths.push_back(4);
  const auto packing = pack(made_of(lengths, 10), in_order(68));
  CHECK(packing.rows() == 66);
  CHECK(packing.row(5).size() == 1);
  CHECK(packing.row(0).size() == 1);  // closed by the 66th row, as the oldest of equally full ones
  CHECK(packing.row(1).size() == 2);
  CHECK(packing.row(1)[1] == 66);
  CHECK(packing.row(2)[1] == 67);
}

TEST_CASE("every sample is whole in just one row an epoch") {
  constexpr std::uint32_t context = 64;
  const auto samples = made_of(lengths_of_chats(500, context), context);
  for (std::uint32_t epoch = 0; epoch < 3; ++epoch) {
    const auto packing = pack(samples, shuffled(samples.size(), 1, epoch));
    std::vector<int> seen(samples.size());
    std::uint64_t padding = 0;
    for (std::uint64_t r = 0; r < packing.rows(); ++r) {
      std::uint64_t tokens = 0;
      for (const auto sample : packing.row(r)) {
        ++seen[sample];
        tokens += samples.length(sample);
      }
      REQUIRE(tokens <= context);
      CHECK(tokens != 0);
      padding += context - tokens;
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }));
    CHECK(padding == packing.padding());
  }
}

TEST_CASE("little is wasted where next fit wastes a fifth") {
  constexpr std::uint32_t context = 1024;
  const auto samples = made_of(lengths_of_chats(2000, context), context);
  const auto order = shuffled(samples.size(), 1, 0);
  const auto packing = pack(samples, order);
  std::uint64_t next_fit = 1;
  std::uint32_t left = context;
  for (const auto sample : order) {
    if (samples.length(sample) > left) ++next_fit, left = context;
    left -= samples.length(sample);
  }
  CHECK(packing.padding() * 50 < packing.rows() * context);
  CHECK(next_fit * 100 > packing.rows() * 110);
}

}  // namespace volt::lm
