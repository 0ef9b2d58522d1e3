// SPDX-License-Identifier: Apache-2.0

#include <limits>
#include <tuple>

#include "kernels/exact.hpp"
#include "support.hpp"

namespace volt::kernels::test {
namespace {

struct Result {
  std::vector<std::int8_t> q;
  std::vector<std::uint32_t> scales;
};

// One group, both ways round.
Result quantise_group(const Backend& backend, const std::vector<float>& x) {
  Session s(backend);
  Result results[2];
  for (const auto axis : {Quantised::along_cols, Quantised::along_rows}) {
    const bool row = axis == Quantised::along_cols;
    const std::uint64_t rows = row ? 1 : x.size(), cols = row ? x.size() : 1;
    Buffer* q = s.room(x.size());
    Buffer* scales = s.room(4);
    VOLT_OK(backend.quantise(s.context, dense(s.put(x), rows, cols),
                             {dense(q, rows, cols), dense(scales, 1, 1), axis}));
    results[axis] = {s.get<std::int8_t>(q, x.size()), bits_of(s.get<float>(scales, 1))};
  }
  CHECK(results[0].q == results[1].q);
  CHECK(results[0].scales == results[1].scales);
  return results[0];
}

void expect(const std::vector<float>& x, const std::vector<std::int8_t>& q, float scale) {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    const Result got = quantise_group(backend, x);
    CHECK(got.q == q);
    CHECK(got.scales[0] == std::bit_cast<std::uint32_t>(scale));
  }
}

constexpr float inf = std::numeric_limits<float>::infinity();
const float nan_with_payload = std::bit_cast<float>(0xffc12345u);
const float signalling = std::bit_cast<float>(0x7f800001u);
const float canonical_nan = std::bit_cast<float>(0x7fc00000u);

}  // namespace

TEST_CASE("a group is scaled so that its largest element becomes 127, ties to even") {
  expect({127.0f, -127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -0.0f, 126.49f},
         {127, -127, 0, 2, 2, 0, -2, 0, 126}, 1.0f);
  expect({1.0f, -1.0f, 0.25f}, {127, -127, 32}, 1.0f / 127.0f);  // 31.75
  expect({-254.0f, 1.0f, 3.0f, 5.0f}, {-127, 0, 2, 2}, 2.0f);    // 0.5, 1.5, 2.5
}

TEST_CASE("a group with a NaN or an infinity has scale NaN and only zeros") {
  for (float bad : {inf, -inf, nan_with_payload, signalling, canonical_nan}) {
    expect({1.0f, bad, 3.0f}, {0, 0, 0}, canonical_nan);
  }
}

TEST_CASE("a group below 2^-100 has scale +0 and only zeros") {
  expect({0.0f, -0.0f}, {0, 0}, 0.0f);
  expect({std::bit_cast<float>(0x0d7fffffu), -0x1p-126f, 0x1p-149f}, {0, 0, 0}, 0.0f);
  expect({0x1p-100f, -0x1p-100f, 0x1p-101f, 0x1p-149f}, {127, -127, 64, 0}, 0x1p-100f / 127.0f);
}

TEST_CASE("the largest floats are quantised without overflow") {
  const float max = std::numeric_limits<float>::max();
  expect({max, -max, max / 4}, {127, -127, 32}, max / 127.0f);
}

TEST_CASE("no element of any group leaves -127 to 127") {
  // amax * (127 / amax) rounds to either side of 127; all mantissas of one binade in steps
  for (std::uint32_t bits = 0x3f800000u; bits < 0x40000000u; bits += 1009) {
    const GroupScale scale = group_scale(bits);
    CHECK(quantise_one(bits_float(bits), scale) == 127);
    CHECK(quantise_one(-bits_float(bits), scale) == -127);
  }
}

TEST_CASE("a last short group takes its scale from its own elements") {
  std::vector<float> x(128, 2.0f);
  x.push_back(-1.0f);
  x.push_back(0.5f);
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    Buffer* in = s.put(x);
    for (const auto axis : {Quantised::along_cols, Quantised::along_rows}) {
      const bool row = axis == Quantised::along_cols;
      Buffer* q = s.room(130);
      Buffer* scales = s.room(8);
      VOLT_OK(backend.quantise(
          s.context, dense(in, row ? 1 : 130, row ? 130 : 1),
          {dense(q, row ? 1 : 130, row ? 130 : 1), dense(scales, row ? 1 : 2, row ? 2 : 1), axis}));
      std::vector<std::int8_t> expected(128, 127);
      expected.push_back(-127);
      expected.push_back(64);  // 63.5
      CHECK(s.get<std::int8_t>(q, 130) == expected);
      CHECK(s.get<float>(scales, 2) == std::vector<float>{2.0f / 127.0f, 1.0f / 127.0f});
    }
  }
}

TEST_CASE("two limbs are the digits of a number of 15 bits") {
  const auto limbs = [](const Backend& backend, const std::vector<float>& x, Quantised::Axis axis) {
    Session s(backend);
    const bool row = axis == Quantised::along_cols;
    const std::uint64_t rows = row ? 1 : x.size(), cols = row ? x.size() : 1;
    Buffer *high = s.room(x.size()), *low = s.room(x.size()), *scales = s.room(4);
    VOLT_OK(backend.quantise_limbs(
        s.context, dense(s.put(x), rows, cols),
        {dense(high, rows, cols), dense(low, rows, cols), dense(scales, 1, 1), axis}));
    return std::tuple(s.get<std::int8_t>(high, x.size()), s.get<std::int8_t>(low, x.size()),
                      bits_of(s.get<float>(scales, 1))[0]);
  };
  const auto expect_limbs = [&](const std::vector<float>& x, const std::vector<std::int8_t>& high,
                                const std::vector<std::int8_t>& low, float scale) {
    for (const Backend& backend : all_backends()) {
      CAPTURE(std::string(backend.name));
      for (const auto axis : {Quantised::along_cols, Quantised::along_rows}) {
        CHECK(limbs(backend, x, axis) ==
              std::tuple(high, low, std::bit_cast<std::uint32_t>(scale)));
      }
    }
  };
  // The low limb is -64 to 63, ties of q go to even.
  expect_limbs({16256.0f, -16256.0f, 63.0f, 64.0f, -64.0f, -65.0f, 0.5f, 1.5f, 1000.0f},
               {127, -127, 0, 1, 0, -1, 0, 0, 8}, {0, 0, 63, -64, -64, 63, 0, 2, -24}, 1.0f);
  expect_limbs({-0.0f, 0x1p-101f}, {0, 0}, {0, 0}, 0.0f);
  expect_limbs({0x1p-100f, 0x1p-101f}, {127, 64}, {0, -64}, 0x1p-100f / 16256.0f);  // q = 8128
  const float max = std::numeric_limits<float>::max();
  expect_limbs({max, -max}, {127, -127}, {0, 0}, max / 16256.0f);
  for (float bad : {inf, -inf, nan_with_payload, signalling, canonical_nan}) {
    expect_limbs({1.0f, bad, 3.0f}, {0, 0, 0}, {0, 0, 0}, canonical_nan);
  }
  for (std::uint32_t bits = 0x3f800000u; bits < 0x40000000u; bits += 1009) {
    const GroupScale scale = group_scale(bits, most_limbs);
    CHECK(quantise_whole(bits_float(bits), scale) == 16256);
  }
}

TEST_CASE("every instruction set quantises as the reference does") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    const std::uint64_t rows = random() % 300, cols = random() % 300;
    const std::uint64_t stride = cols + random() % 5, q_stride = cols + random() % 5;
    std::vector<float> x(rows * stride + 3);
    for (float& v : x) {
      const std::uint64_t r = random();
      v = r % 2000 == 0 ? std::bit_cast<float>(static_cast<std::uint32_t>(r >> 32))
                        : static_cast<float>(static_cast<std::int32_t>(r >> 32)) * 0x1p-31f;
      if (round % 4 == 3) v *= 0x1p-100f;
    }
    for (const auto axis : {Quantised::along_cols, Quantised::along_rows}) {
      const bool row = axis == Quantised::along_cols;
      const std::uint64_t srows = row ? rows : (rows + 127) / 128;
      const std::uint64_t scols = row ? (cols + 127) / 128 : cols;
      const auto run = [&](const Backend& backend, std::uint32_t threads) {
        Session s(backend, threads);
        Result results[3];  // int8, and high and low limbs
        Buffer* qs[3];
        for (Buffer*& q : qs) q = s.room(rows * q_stride + 1);
        const Matrix from = {s.put(x), 3, rows, cols, stride};
        Buffer* const scales = s.room((srows * (scols + 2) + 1) * 4);
        const auto in = [&](Buffer* q) { return Matrix{q, 1, rows, cols, q_stride}; };
        const Matrix of = {scales, 1, srows, scols, scols + 2};
        const auto told = [&](Buffer* q) {
          return Result{s.get<std::int8_t>(q, rows * q_stride + 1),
                        bits_of(s.get<float>(scales, srows * (scols + 2) + 1))};
        };
        VOLT_OK(backend.quantise(s.context, from, {in(qs[0]), of, axis}));
        results[0] = told(qs[0]);
        VOLT_OK(backend.quantise_limbs(s.context, from, {in(qs[1]), in(qs[2]), of, axis}));
        results[1] = told(qs[1]), results[2] = told(qs[2]);
        return std::vector<Result>(std::begin(results), std::end(results));
      };
      const auto expected = run(cpu_reference(), 1);
      for (const Backend& backend : fast_backends()) {
        CAPTURE(std::string(backend.name));
        const auto got = run(backend, 1 + static_cast<std::uint32_t>(round) % 3);
        for (std::size_t i = 0; i < 3; ++i) {
          CHECK(got[i].q == expected[i].q);
          CHECK(got[i].scales == expected[i].scales);
        }
      }
    }
  }
}

}  // namespace volt::kernels::test
