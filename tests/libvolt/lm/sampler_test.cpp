// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/sampler.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "kernels/network_functions.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/device/device.hpp"

namespace volt::lm {
namespace {

constexpr std::uint64_t vocabulary = 1000;

/// The tokens of `rows` positions from one on, each of so many with equal logits.
std::vector<std::uint32_t> drawn(const Sampler& sampler, std::uint64_t text, std::uint64_t position,
                                 std::uint64_t rows) {
  device::Device device(device::wanted("cpu", 1));
  const device::Buffer logits = device.create(4 * rows * vocabulary), to = device.create(4 * rows);
  device.call(&kernels::Network::draw, sampler.draw({logits.get(), 0, rows, vocabulary, vocabulary},
                                                    text, position, {to.get(), 0, rows, 1, 1}));
  std::vector<std::uint32_t> tokens(rows);
  device.download(to, reinterpret_cast<std::uint8_t*>(tokens.data()), 4 * rows);
  return tokens;
}

}  // namespace

TEST_CASE("a draw follows from seed, text and position alone") {
  const Sampler sampler{1, 1, 5};
  for (const std::uint64_t text : {0, 1, 70'000}) {
    const auto tokens = drawn(sampler, text, 6, 9);
    for (std::uint64_t i = 0; i < tokens.size(); ++i) {
      const std::uint64_t position = 6 + i;
      const auto block = kernels::random_block(5, 34, (text << 32) + position / 4);
      const float u = kernels::word_to_unit(block.word[position % 4]);
      CHECK(tokens[i] / double{vocabulary} == doctest::Approx(u).epsilon(1e-3).scale(1));
      CHECK(drawn(sampler, text, position, 1)[0] == tokens[i]);
    }
  }
  CHECK(drawn(sampler, 0, 0, 64) != drawn({1, 1, 6}, 0, 0, 64));
  CHECK(drawn(sampler, 0, 0, 64) != drawn(sampler, 1, 0, 64));
}

TEST_CASE("logits that give no token are the model's fault, and say so") {
  CHECK(some_token(0) == 0);
  CHECK(some_token(kernels::no_token - 1) == kernels::no_token - 1);
  try {
    some_token(kernels::no_token);
    FAIL("taken for a token");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::answer_is_no);
    CHECK(error.message() == "the model gives no token a probability: its logits are NaN");
  }
}

}  // namespace volt::lm
