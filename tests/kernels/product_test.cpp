// SPDX-License-Identifier: Apache-2.0

// Products whose results follow by hand, without the reference.

#include <limits>

#include "support.hpp"

namespace volt::kernels::test {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
const std::uint32_t one_nan = 0x7fc00000u;

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

// sum over k of a[i] * b[i], onto c, as a 1 x 1 product.
std::uint32_t chain(const Backend& backend, const std::vector<float>& a,
                    const std::vector<float>& b, float c) {
  Session s(backend);
  Buffer* out = s.put(std::vector<float>{c});
  VOLT_OK(backend.matmul_f32x(s.context, Form::ab, dense(s.put(a), 1, a.size()),
                              dense(s.put(b), b.size(), 1), dense(out, 1, 1)));
  return bits_of(s.get<float>(out, 1))[0];
}

// One i8x element: groups of 128 filled with a constant each.
std::uint32_t groups(const Backend& backend, const std::vector<std::int8_t>& a,
                     const std::vector<std::int8_t>& b, const std::vector<float>& scales_a,
                     const std::vector<float>& scales_b, float c) {
  Session s(backend);
  Buffer* out = s.put(std::vector<float>{c});
  const Quantised qa = {dense(s.put(a), 1, a.size()), dense(s.put(scales_a), 1, scales_a.size()),
                        Quantised::along_cols};
  const Quantised qb = {dense(s.put(b), b.size(), 1), dense(s.put(scales_b), scales_b.size(), 1),
                        Quantised::along_rows};
  VOLT_OK(backend.matmul_i8x(s.context, Form::ab, qa, qb, dense(out, 1, 1)));
  return bits_of(s.get<float>(out, 1))[0];
}

}  // namespace

TEST_CASE("an f32x element is one chain of fused steps from the initial accumulator") {
  const float eps = 0x1p-23f;
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    // fused: (1+e)^2 - (1+2e) = e^2, which a rounded product would lose
    CHECK(chain(backend, {1 + eps}, {1 + eps}, -(1 + 2 * eps)) == bits(eps * eps));
    // ascending: 1 is lost in 2^24 + 1 (a tie to even), and again
    CHECK(chain(backend, {1, 1}, {1, 1}, 0x1p24f) == bits(0x1p24f));
    CHECK(chain(backend, {1, 1, 0x1p24f}, {1, 1, 1}, 0) == bits(0x1p24f + 2));
    CHECK(chain(backend, {0x1p24f, 1, 1}, {1, 1, 1}, 0) == bits(0x1p24f));
    CHECK(chain(backend, {0x1p30f, 1, -0x1p30f, 1}, {1, 1, 1, 1}, 0) == bits(1));
    // a sum past the largest float stays infinite; a product past it does not become so
    CHECK(chain(backend, {0x1p127f, -0x1p127f}, {1, 1}, 0x1p127f) == bits(inf));
    CHECK(chain(backend, {0x1p127f}, {2}, -0x1p127f) == bits(0x1p127f));
    CHECK(chain(backend, {inf, -inf}, {1, 1}, 0) == one_nan);
  }
}

TEST_CASE("zeros keep the signs of IEEE, denormals are kept, and there is one NaN") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    CHECK(chain(backend, {}, {}, -0.0f) == bits(-0.0f));
    CHECK(chain(backend, {0.0f}, {-1.0f}, -0.0f) == bits(-0.0f));
    CHECK(chain(backend, {0.0f}, {1.0f}, -0.0f) == bits(0.0f));
    CHECK(chain(backend, {0x1p-100f}, {0x1p-49f}, 0x1p-149f) == bits(0x1p-148f));
    CHECK(chain(backend, {0x1p-149f}, {1.0f}, 0.0f) == 1);
    CHECK(chain(backend, {0.0f}, {inf}, 1.0f) == one_nan);
    CHECK(chain(backend, {1.0f}, {1.0f}, std::bit_cast<float>(0xff812345u)) == one_nan);
    CHECK(chain(backend, {}, {}, std::bit_cast<float>(0xffc00001u)) == one_nan);
  }
}

TEST_CASE("f32x of integers is what integers give, in all forms") {
  // sums stay below 2^24, so that every step is exact
  constexpr std::uint64_t m = 29, n = 45, k = 300;
  const auto a = [](std::uint64_t i, std::uint64_t p) {
    return static_cast<std::int64_t>((i * 7 + p * 13) % 31) - 15;
  };
  const auto b = [](std::uint64_t p, std::uint64_t j) {
    return static_cast<std::int64_t>((p * 11 + j * 5) % 37) - 18;
  };
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    std::vector<float> am(m * k), at(m * k), bm(n * k), bt(n * k), expected(m * n);
    std::vector<std::int8_t> ai(m * k), bi(n * k);
    std::vector<std::int32_t> expected_i8(m * n);
    for (std::uint64_t p = 0; p < k; ++p) {
      for (std::uint64_t i = 0; i < m; ++i) {
        am[i * k + p] = at[p * m + i] = static_cast<float>(a(i, p));
        ai[i * k + p] = static_cast<std::int8_t>(a(i, p));
      }
      for (std::uint64_t j = 0; j < n; ++j) {
        bm[p * n + j] = bt[j * k + p] = static_cast<float>(b(p, j));
        bi[p * n + j] = static_cast<std::int8_t>(b(p, j));
      }
    }
    for (std::uint64_t i = 0; i < m; ++i) {
      for (std::uint64_t j = 0; j < n; ++j) {
        std::int64_t sum = 0;
        for (std::uint64_t p = 0; p < k; ++p) sum += a(i, p) * b(p, j);
        expected[i * n + j] = static_cast<float>(sum);
        expected_i8[i * n + j] = static_cast<std::int32_t>(sum);
      }
    }
    Buffer* c[3] = {s.room(m * n * 4), s.room(m * n * 4), s.room(m * n * 4)};
    VOLT_OK(backend.matmul_f32x(s.context, Form::ab, dense(s.put(am), m, k), dense(s.put(bm), k, n),
                                dense(c[0], m, n)));
    VOLT_OK(backend.matmul_f32x(s.context, Form::abt, dense(s.put(am), m, k),
                                dense(s.put(bt), n, k), dense(c[1], m, n)));
    VOLT_OK(backend.matmul_f32x(s.context, Form::atb, dense(s.put(at), k, m),
                                dense(s.put(bm), k, n), dense(c[2], m, n)));
    for (Buffer* result : c) CHECK(s.get<float>(result, m * n) == expected);
    Buffer* i8 = s.room(m * n * 4);
    VOLT_OK(backend.matmul_i8(s.context, Form::ab, dense(s.put(ai), m, k), dense(s.put(bi), k, n),
                              dense(i8, m, n)));
    CHECK(s.get<std::int32_t>(i8, m * n) == expected_i8);
  }
}

TEST_CASE("i8 holds the largest sum of the longest k, and the accumulator wraps around") {
  const std::vector<std::int8_t> low(max_k_i8, -128), high(max_k_i8, 127);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    const auto run = [&](const std::vector<std::int8_t>& a, const std::vector<std::int8_t>& b,
                         std::int32_t c) {
      Buffer* out = s.put(std::vector<std::int32_t>{c});
      VOLT_OK(backend.matmul_i8(s.context, Form::abt, dense(s.put(a), 1, max_k_i8),
                                dense(s.put(b), 1, max_k_i8), dense(out, 1, 1)));
      return s.get<std::int32_t>(out, 1)[0];
    };
    CHECK(run(low, low, 0) == 16384 * 131'071);
    CHECK(run(low, high, 0) == -16256 * 131'071);
    CHECK(run(low, low, 16383) == std::numeric_limits<std::int32_t>::max());
    CHECK(run(low, low, 16384) == std::numeric_limits<std::int32_t>::min());
  }
}

TEST_CASE("i8x2 joins the sums of limbs from the lowest, each step rounded once") {
  // Two groups, each of 128 times the same four limbs.
  struct Group {
    std::int8_t high_a, low_a, high_b, low_b;
    float scale_a, scale_b;
  };
  const auto product = [](const Backend& backend, std::vector<Group> both, float c) {
    const std::uint64_t k = 128 * both.size();
    std::vector<std::int8_t> limbs[4];
    std::vector<float> scales[2];
    for (const Group& g : both) {
      const std::int8_t of[] = {g.high_a, g.low_a, g.high_b, g.low_b};
      for (std::size_t i = 0; i < 4; ++i) limbs[i].insert(limbs[i].end(), 128, of[i]);
      scales[0].push_back(g.scale_a), scales[1].push_back(g.scale_b);
    }
    Session s(backend);
    Buffer* out = s.put(std::vector<float>{c});
    VOLT_OK(backend.matmul_i8x2(s.context, Form::abt,
                                {dense(s.put(limbs[0]), 1, k), dense(s.put(limbs[1]), 1, k),
                                 dense(s.put(scales[0]), 1, both.size())},
                                {dense(s.put(limbs[2]), 1, k), dense(s.put(limbs[3]), 1, k),
                                 dense(s.put(scales[1]), 1, both.size())},
                                dense(out, 1, 1)));
    return bits_of(s.get<float>(out, 1))[0];
  };
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    const float nan = std::bit_cast<float>(0xffc00009u);
    // 128 (128 * 1 + 2)(128 * 3 + 4)
    CHECK(product(backend, {{1, 2, 3, 4, 1, 1}}, 0) == bits(128 * 130 * 388));
    // the largest limbs: exact in none but its parts, 2064512 * 16384 + 0
    CHECK(product(backend, {{127, 0, 127, 0, 1, 1}}, 0) == bits(2'064'512.0f * 16384));
    CHECK(product(backend, {{-128, -128, -128, -128, 1, 1}}, 0) ==
          bits(0x1p21f * 16384 + (0x1p22f * 128 + 0x1p21f)));
    // hl is joined with ll before hh: 2^21 * 2^14 swallows what is below 2^12, together or alone
    // 128 * (64 * 16384 + 1 * 128 * 1) and what rounding to 24 bits leaves
    CHECK(product(backend, {{127, 1, 127, 0, 1, 1}}, 0) ==
          bits(2'064'512.0f * 16384 + 16256 * 128));
    // the groups in order, and the scales' product is rounded before
    CHECK(product(backend, {{0, 1, 0, 1, 0x1p24f, 1}, {0, 1, 0, 1, 1, 0.5f}}, -0x1p31f) ==
          bits(64));
    const float e = 0x1p-23f;
    CHECK(product(backend, {{0, 1, 0, 1, 1 + e, 1 + e}}, -(128 * (1 + 2 * e))) == 0);
    // no group is skipped
    CHECK(product(backend, {{0, 0, 0, 0, 1, inf}}, 5) == one_nan);
    CHECK(product(backend, {{0, 0, 0, 0, 1, 1}, {0, 0, 1, 1, nan, 1}}, 5) == one_nan);
    CHECK(product(backend, {{0, 0, 0, 0, 0, 0}}, -0.0f) == bits(0.0f));
    CHECK(product(backend, {}, -0.0f) == bits(-0.0f));
    CHECK(product(backend, {}, nan) == one_nan);
  }
}

TEST_CASE("i8x joins exact group sums with one rounded scale product and one fused step each") {
  const std::vector<std::int8_t> ones(256, 1), largest(128, 127), lowest(128, -128);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    CHECK(groups(backend, largest, largest, {1}, {1}, 0) == bits(2'064'512));
    CHECK(groups(backend, lowest, lowest, {1}, {1}, 0) == bits(2'097'152));
    // the groups in order: 2^31 swallows 128 * 0.5 before it is taken away, and then not
    CHECK(groups(backend, ones, ones, {0x1p24f, 1}, {1, 0.5f}, 0) == bits(0x1p31f));
    CHECK(groups(backend, ones, ones, {0x1p24f, 1}, {1, 0.5f}, -0x1p31f) == bits(64));
    // (1+e)^2 is rounded to 1+2e before it meets the sum
    const float e = 0x1p-23f;
    CHECK(groups(backend, {1}, {1}, {1 + e}, {1 + e}, -(1 + 2 * e)) == 0);
    // 3 * (1+e) - 3 is fused: 3e
    CHECK(groups(backend, {3}, {1}, {1 + e}, {1}, -3) == bits(3 * e));
    // no group is skipped: 0 * inf and 0 * NaN
    const std::vector<std::int8_t> zeros(256, 0);
    CHECK(groups(backend, zeros, ones, {1, inf}, {1, 1}, 5) == one_nan);
    CHECK(groups(backend, zeros, ones, {std::bit_cast<float>(0xffc00009u), 1}, {1, 1}, 5) ==
          one_nan);
    CHECK(groups(backend, zeros, zeros, {1, 1}, {1, -1}, -0.0f) == bits(0.0f));
    CHECK(groups(backend, {}, {}, {}, {}, -0.0f) == bits(-0.0f));
    CHECK(groups(backend, {}, {}, {}, {}, std::bit_cast<float>(0xff800001u)) == one_nan);
    // scales whose product is denormal, or is lost
    CHECK(groups(backend, {2}, {1}, {0x1p-100f}, {0x1p-48f}, 0) == bits(0x1p-147f));
    CHECK(groups(backend, {127}, {127}, {0x1p-100f}, {0x1p-100f}, 0) == 0);
  }
}

}  // namespace volt::kernels::test
