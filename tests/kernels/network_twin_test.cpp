// SPDX-License-Identifier: Apache-2.0

// Every instruction set and thread count against the reference, bit for bit: the operations of
// language models.

#include <algorithm>

#include "kernels/variants.hpp"
#include "network_cases.hpp"

namespace volt::kernels::test {
namespace {

constexpr std::uint32_t thread_counts[] = {1, 2, 3, 7};

void check_twins(Random& random, const Operation& operation) {
  CAPTURE(operation.name);
  const Memories expected = operation.run(cpu_reference(), 1);
  for (const Backend& backend : cpu_variants()) {
    const std::uint32_t threads = thread_counts[below(random, 4)];
    const Memories got = operation.run(backend, threads);
    CAPTURE(std::string(backend.name));
    CAPTURE(threads);
    CAPTURE(operation.arguments[0].place.rows);
    CAPTURE(operation.arguments[0].place.cols);
    CHECK(got[0] == expected[0]);
    for (std::size_t i = 0; i < operation.arguments.size(); ++i) {
      CAPTURE(std::string(operation.arguments[i].name));
      CHECK(got[i + 1] == expected[i + 1]);
    }
  }
}

constexpr Oddity oddities[] = {Oddity::none, Oddity::some, Oddity::many};

}  // namespace

TEST_CASE("every instruction set has the reference's bits of every operation") {
  Random random(20270101);
  for (int round = 0; round < 60; ++round) {
    for (const Operation& operation : operations(random, Size::small, oddities[round % 3])) {
      check_twins(random, operation);
    }
  }
}

TEST_CASE("so it has where it writes where it reads") {
  Random random(20270105);
  for (int round = 0; round < 12; ++round) {
    for (const Operation& operation : in_place(random, oddities[round % 3])) {
      check_twins(random, operation);
    }
  }
}

TEST_CASE("so it has where threads share the work") {
  Random random(20270102);
  for (int round = 0; round < 6; ++round) {
    for (const Operation& operation : operations(random, Size::shared, oddities[round % 3])) {
      check_twins(random, operation);
    }
  }
}

TEST_CASE("so it has of attention over more keys than a sum has lanes") {
  Random random(20270103);
  for (int round = 0; round < 8; ++round) {
    for (const Operation& operation :
         attentions(random, 130 + below(random, 250), oddities[round % 2])) {
      check_twins(random, operation);
    }
  }
}

TEST_CASE("so it has of logits so far apart that e is small beyond the normal floats, and 0") {
  std::vector<float> logits(5000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = -0.03f * static_cast<float>(i);
  std::vector<std::uint32_t> expected;
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* const results = s.put(logits);
    const Matrix target = dense(s.put(std::vector<std::uint32_t>{3}), 1, 1);
    VOLT_OK(backend.network->cross_entropy(
        s.context, {dense(results, 1, logits.size()), target, dense(s.room(12), 1, 3)}));
    const auto got = bits_of(s.get<float>(results, logits.size()));
    if (expected.empty()) expected = got;
    CHECK(got == expected);
  }
  CHECK(std::count_if(expected.begin(), expected.end(),
                      [](std::uint32_t bits) { return bits != 0 && bits < 0x00800000; }) > 400);
  CHECK(std::count(expected.begin(), expected.end(), 0u) > 1000);
}

TEST_CASE("the arguments that are only read stay as they are, and so does all around the results") {
  Random random(20270104);
  for (const Operation& operation : operations(random, Size::small, Oddity::many)) {
    CAPTURE(operation.name);
    const Memories after = operation.run(cpu(), 2);
    for (std::size_t i = 0; i < operation.arguments.size(); ++i) {
      const Argument& argument = operation.arguments[i];
      CAPTURE(std::string(argument.name));
      std::vector<std::uint32_t> before = argument.memory;
      const auto bytes = [&](auto& words, std::uint64_t element) {
        return reinterpret_cast<unsigned char*>(words.data()) + element * argument.width;
      };
      Memories now = after;
      for (std::uint64_t r = 0; argument.written && r < argument.place.rows; ++r) {
        const std::uint64_t at = argument.place.offset + r * argument.place.stride;
        std::memcpy(bytes(before, at), bytes(now[i + 1], at), argument.place.cols * argument.width);
      }
      CHECK(after[i + 1] == before);
    }
  }
}

}  // namespace volt::kernels::test
