// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/challenge.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "libvolt/schema/job.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/schema/sample.hpp"

using namespace volt;
using namespace volt::proof;

namespace {

const crypto::PublicKey& somebody() {
  static const auto key = crypto::SigningKey::make();
  return key.public_key();
}

std::string little_endian(std::uint64_t number) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(number >> (8 * i));
  return bytes;
}

std::string field(std::string_view bytes) {
  return little_endian(bytes.size()) + std::string(bytes);
}
std::string field(const Digest& digest) { return field(as_text(digest.bytes)); }
std::string field(std::uint64_t number) { return field(little_endian(number)); }

Digest seed_after(const std::function<void(schema::Receipt&)>& change) {
  auto receipt = sample_receipt(somebody());
  change(receipt);
  return challenge_seed(receipt, digest_of("nonce"));
}

const Digest unchanged = seed_after([](auto&) {});

}  // namespace

TEST_CASE("the seed is SHA-256 over the public fields, each after its length") {
  const std::string bytes =
      field("volt.challenge/1") + field(digest_of("job")) + field("f32x/1") +
      field(std::uint64_t{2}) +                                                    //
      field("a") + field("volt-pages/1 f32 32 7") + field(digest_of("pages a")) +  //
      field("b") + field("volt-pages/1 f32 7 32") + field(digest_of("pages b")) +  //
      field(std::uint64_t{2}) +                                                    //
      field("c.npy") + field(digest_of("c")) + field("volt-pages/1 f32 32 32") +   //
      field(digest_of("pages c")) + field("c.pgm") + field(digest_of("pgm")) +     //
      field(digest_of("pages c")) + field(std::uint64_t{1024}) + field(digest_of("nonce"));
  CHECK(unchanged == crypto::sha256(as_bytes(bytes)));
  CHECK(unchanged.hex() == "149a9042407045bf65949b457a11f61f75362b28c36f7fd5a64dc59e2fd746c2");
}

TEST_CASE("every public field changes the seed, each in its own way") {
  using R = schema::Receipt;
  const std::vector<std::function<void(R&)>> changes = {
      [](R& r) { r.job = digest_of("x"); },
      [](R& r) { r.profile = "i8x/1"; },
      [](R& r) { r.trace_root = digest_of("x"); },
      [](R& r) { r.units = 1023; },
      [](R& r) { r.inputs[0].name = "d"; },
      [](R& r) { r.inputs[0].tensor->pages = digest_of("x"); },
      [](R& r) { r.inputs[1].tensor->pages = digest_of("x"); },
      [](R& r) { r.inputs[0].tensor->description.dtype = tensor::Dtype::i8; },
      [](R& r) {
        r.inputs[0].tensor->description.shape = {7, 32};
      },
      [](R& r) {
        r.inputs[1].tensor->description.shape = {7, 32, 1};
      },
      [](R& r) { std::swap(r.inputs[0], r.inputs[1]); },
      [](R& r) { r.inputs.pop_back(); },
      [](R& r) { r.inputs.push_back(r.inputs[0]); },
      [](R& r) { r.outputs[0].name = "d.npy"; },
      [](R& r) { r.outputs[1].name = "d.pgm"; },
      [](R& r) { r.outputs[0].sha256 = digest_of("x"); },
      [](R& r) { r.outputs[1].sha256 = digest_of("x"); },
      [](R& r) { r.outputs[0].tensor->pages = digest_of("x"); },
      [](R& r) { r.outputs[0].tensor->description.shape = {1024}; },
      [](R& r) { r.outputs[0].tensor->description.dtype = tensor::Dtype::i32; },
      [](R& r) { r.outputs[0].tensor.reset(); },
      [](R& r) { r.outputs.pop_back(); },
      [](R& r) { std::swap(r.outputs[0], r.outputs[1]); }};
  std::set<Digest> seeds{unchanged};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    CHECK(seeds.insert(seed_after(changes[i])).second);
  }
  CHECK(seeds.insert(challenge_seed(sample_receipt(somebody()), digest_of("other"))).second);
}

TEST_CASE("what the prover may choose afterwards does not change the seed") {
  using R = schema::Receipt;
  const std::vector<std::function<void(R&)>> changes = {
      [](R& r) { r.started = "x"; },      [](R& r) { r.ended = "x"; },
      [](R& r) { r.elapsed_ns = 1; },     [](R& r) { r.peak_memory_bytes = 1; },
      [](R& r) { r.backend = "cuda"; },   [](R& r) { r.device = "x"; },
      [](R& r) { r.driver = "x"; },       [](R& r) { r.sandbox = "x"; },
      [](R& r) { r.tool = "x"; },         [](R& r) { r.signer = {1}; },
      [](R& r) { r.retention_s = 1; },    [](R& r) { r.outputs[0].bytes = 1; },
      [](R& r) { r.inputs[0].seed = 8; }, [](R& r) { r.inputs[1].receipt.reset(); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    CHECK(seed_after(changes[i]) == unchanged);
  }
}

TEST_CASE("a challenge is to one receipt, with a fresh nonce") {
  const auto receipt = sample_receipt(somebody());
  const std::string payload = schema::to_payload(receipt);
  const auto one = make_challenge(payload, receipt, 100, somebody());
  const auto two = make_challenge(payload, receipt, 10'000'000, somebody());
  CHECK(one.nonce != two.nonce);
  CHECK(one.seed != two.seed);
  CHECK(one.draws == 100);
  CHECK(two.draws == schema::max_draws);
  CHECK(one.receipt == crypto::sha256(as_bytes(payload)));
  CHECK(one.signer == somebody().der());
  check_challenge(one, payload, receipt);

  auto other = receipt;
  other.attempt = 9;
  CHECK(message_of([&] { check_challenge(one, schema::to_payload(other), other); }) ==
        "the challenge is to another receipt "
        "[every receipt needs a challenge of its own: gpu-verify challenge RECEIPT]");
  auto chosen = one;
  chosen.seed.bytes[31] ^= 1;
  CHECK(message_of([&] { check_challenge(chosen, payload, receipt); }) ==
        "the challenge's seed does not follow from its nonce and the receipt "
        "[a seed that leaves out something public, or was chosen, proves nothing]");
  auto renonced = one;
  renonced.nonce = two.nonce;
  CHECK_THROWS_AS(check_challenge(renonced, payload, receipt), Error);
}

TEST_CASE("drawn units are SHA-256 in counter mode, sorted, each once") {
  const Digest seed = digest_of("draws");
  // The words of the first two blocks; 1000 divides 2^64 with a rest too small to matter here.
  std::set<std::uint64_t> expected;
  for (std::uint64_t counter = 0; counter < 2; ++counter) {
    const auto block =
        crypto::sha256(as_bytes(std::string(as_text(seed.bytes)) + little_endian(counter)));
    for (int word = 0; word < 4; ++word) {
      std::uint64_t value = 0;
      for (int i = 7; i >= 0; --i) value = value << 8 | block.bytes[8 * word + i];
      expected.insert(value % 1000);
    }
  }
  CHECK(drawn_units(seed, 8, 1000) == std::vector<std::uint64_t>(expected.begin(), expected.end()));
}

TEST_CASE("drawn units are in range, ascending and distinct, and more draws only add") {
  for (const std::uint64_t units : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{1000},
                                    std::uint64_t{1} << 40, (std::uint64_t{1} << 63) + 12345}) {
    CAPTURE(units);
    const auto few = drawn_units(digest_of("s"), 50, units);
    const auto many = drawn_units(digest_of("s"), 500, units);
    CHECK(many.size() <= 500);
    CHECK(many.back() < units);
    CHECK(std::adjacent_find(many.begin(), many.end(), std::greater_equal<>()) == many.end());
    CHECK(std::includes(many.begin(), many.end(), few.begin(), few.end()));
    CHECK(drawn_units(digest_of("s"), 500, units) == many);
  }
  CHECK(drawn_units(digest_of("s"), 10, 1) == std::vector<std::uint64_t>{0});
  CHECK(drawn_units(digest_of("s"), 10, 0).empty());
  CHECK(drawn_units(digest_of("s"), 0, 10).empty());
  CHECK(drawn_units(digest_of("s"), 20'000, 100).size() == 100);  // each unit can be drawn
  CHECK(drawn_units(digest_of("s"), 50, 1000) != drawn_units(digest_of("t"), 50, 1000));
}

TEST_CASE("the chance of missing is what is left after so many draws") {
  CHECK(chance_of_missing(0, 0.5) == 1);
  CHECK(chance_of_missing(1, 0.5) == doctest::Approx(0.5));
  CHECK(chance_of_missing(2750, 0.01) == doctest::Approx(std::pow(0.99, 2750)));
  CHECK(chance_of_missing(2750, 0.01) <= 1e-12);
  CHECK(chance_of_missing(2749, 0.01) > 1e-12);
  CHECK(chance_of_missing(5, 1) == 0);
  CHECK(chance_of_missing(5, 0) == 1);
}
