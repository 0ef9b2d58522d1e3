// SPDX-License-Identifier: Apache-2.0

#include "kernels/exact.hpp"
#include "support.hpp"

namespace volt::kernels::test {

TEST_CASE("Philox 4x32-10 gives the known answers of Random123") {
  const auto check = [](PhiloxBlock counter, std::uint32_t k0, std::uint32_t k1,
                        PhiloxBlock expected) {
    const PhiloxBlock got = philox(counter, k0, k1);
    for (int i = 0; i < 4; ++i) CHECK(got.word[i] == expected.word[i]);
  };
  check({{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  check({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  check({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
        {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST_CASE("the first block of stream 0 becomes floats and bytes as the contract says") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* f = s.room(16);
    VOLT_OK(backend.fill_f32(s.context, f, 0, 4, 0, 0, 0));
    // 0x6627e8 * 2^-23; 0xe169c5 and the others are negative in 24 bits
    CHECK(s.get<float>(f, 4) ==
          std::vector<float>{0x6627e8 * 0x1p-23f, (0xe169c5 - 0x1000000) * 0x1p-23f,
                             (0xbc57ac - 0x1000000) * 0x1p-23f, (0x9b00db - 0x1000000) * 0x1p-23f});
    Buffer* b = s.room(16);
    VOLT_OK(backend.fill_i8(s.context, b, 0, 16, 0, 0, 0));
    const std::vector<std::uint8_t> expected = {0xd5, 0xe8, 0x27, 0x66, 0x8d, 0xc5, 0x69, 0xe1,
                                                0x4c, 0xac, 0x57, 0xbc, 0xd8, 0xdb, 0x00, 0x9b};
    CHECK(s.get<std::uint8_t>(b, 16) == expected);
  }
}

TEST_CASE("the seed is the key and the stream the third counter word") {
  const PhiloxBlock block =
      philox({{0x85a308d3, 0x243f6a88, 0x13198a2e, 0}}, 0xa4093822, 0x299f31d0);
  Session s(cpu());
  Buffer* b = s.room(16);
  // the block's first byte would be element 16 * 0x243f6a88'85a308d3: too far for bytes, not for
  // fp32
  VOLT_OK(s.table.fill_f32(s.context, b, 0, 4, 0x299f31d0'a4093822, 0x13198a2e,
                           0x043f6a88'85a308d3 * 4));
  const PhiloxBlock reachable =
      philox({{0x85a308d3, 0x043f6a88, 0x13198a2e, 0}}, 0xa4093822, 0x299f31d0);
  CHECK(block.word[0] != reachable.word[0]);
  const std::vector<float> got = s.get<float>(b, 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(got[i] == word_to_f32(reachable.word[i]));
}

TEST_CASE("a stream may be filled in any pieces, to any place, by any number of threads") {
  constexpr std::uint64_t count = 200'003, seed = 0x0123456789abcdef;
  Session reference(cpu_reference());
  Buffer* rf = reference.room((count + 8) * 4);
  Buffer* rb = reference.room(count + 8);
  VOLT_OK(reference.table.fill_f32(reference.context, rf, 0, count + 8, seed, 7, 0));
  VOLT_OK(reference.table.fill_i8(reference.context, rb, 0, count + 8, seed, 7, 0));
  const auto floats = bits_of(reference.get<float>(rf, count + 8));
  const auto bytes = reference.get<std::int8_t>(rb, count + 8);
  for (const Backend& backend : fast_backends()) {
    CAPTURE(std::string(backend.name));
    for (std::uint32_t threads : {1u, 3u}) {
      for (std::uint64_t first = 0; first < 8; first += 1 + 2 * (threads - 1)) {
        Session s(backend, threads);
        Buffer* f = s.room((count + 1) * 4);
        Buffer* b = s.room(count + 1);
        for (std::uint64_t at : {std::uint64_t{0}, std::uint64_t{131'075}}) {
          const std::uint64_t part = at == 0 ? 131'075 : count - at;
          VOLT_OK(backend.fill_f32(s.context, f, at + 1, part, seed, 7, first + at));
          VOLT_OK(backend.fill_i8(s.context, b, at + 1, part, seed, 7, first + at));
        }
        const auto got_floats = bits_of(s.get<float>(f, count + 1));
        const auto got_bytes = s.get<std::int8_t>(b, count + 1);
        CHECK(got_floats[0] == 0);  // what lies before is not touched
        CHECK(got_bytes[0] == 0);
        const auto from = static_cast<std::ptrdiff_t>(first);
        CHECK(std::equal(got_floats.begin() + 1, got_floats.end(), floats.begin() + from));
        CHECK(std::equal(got_bytes.begin() + 1, got_bytes.end(), bytes.begin() + from));
      }
    }
  }
}

TEST_CASE("the last elements of a stream can be had") {
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    Buffer* b = s.room(8);
    VOLT_OK(backend.fill_i8(s.context, b, 0, 3, 5, 6, ~std::uint64_t{0} - 3));
    const PhiloxBlock last = random_block(5, 6, ~std::uint64_t{0} / 16);
    const auto got = s.get<std::int8_t>(b, 3);
    for (unsigned i = 0; i < 3; ++i) CHECK(got[i] == word_to_i8(last.word[3], i));
  }
}

}  // namespace volt::kernels::test
