// SPDX-License-Identifier: Apache-2.0

// The elementary functions and the 16-bit formats: known values, error, and that every instruction
// set gives the same bits. exact_slow.cpp looks at all floats.

#include <algorithm>

#include "kernels/variants.hpp"
#include "oracle.hpp"

namespace volt::kernels::test {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float least = 0x1p-149f;

// Every 10007th float from +0 on: all exponents, both signs, NaNs.
std::vector<float> some_floats() {
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 10'007) {
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  return x;
}

std::vector<std::uint64_t> some_phases() {
  std::vector<std::uint64_t> phases;
  for (std::uint64_t i = 0; i < 400'000; ++i) phases.push_back(i * 0x9e3779b97f4a7c15);
  for (std::uint64_t i = 0; i < 4; ++i) {
    for (std::uint64_t near : {0, 1, -1}) phases.push_back(i * quarter_turn + near);
  }
  return phases;
}

std::vector<std::uint16_t> all_halves() {
  std::vector<std::uint16_t> values(65'536);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint16_t>(i);
  return values;
}

// The same bits from every instruction set, from several threads and from pieces that start and end
// anywhere.
template <class Out, class In>
void check_variants(Function function, const std::vector<In>& x, const std::vector<Out>& expected) {
  CAPTURE(static_cast<int>(function));
  for (const Backend& backend : fast_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 3);
    CHECK(std::memcmp(mapped<Out>(s, function, x).data(), expected.data(),
                      x.size() * sizeof(Out)) == 0);
    Buffer* const from = s.put(x);
    for (std::uint64_t count = 0; count < 70; ++count) {
      const std::uint64_t at = 900 * count + count % 5;
      std::vector<Out> wanted(80);
      std::copy_n(expected.data() + at, count, wanted.data() + 3);
      Buffer* const to = s.room(80 * sizeof(Out));
      VOLT_OK(backend.map(s.context, function, from, at, to, 3, count));
      REQUIRE(std::memcmp(s.get<Out>(to, 80).data(), wanted.data(), 80 * sizeof(Out)) == 0);
    }
  }
}

struct Known {
  const char* what;
  Function function;
  float x, expected;
};

const Known known[] = {
    {"exp(-inf)", Function::exp, -inf, 0},
    {"exp(inf)", Function::exp, inf, inf},
    {"exp(-0)", Function::exp, -0.0f, 1},
    {"exp, the last before infinity", Function::exp, 0x1.62e42ep+6f, 0x1.ffff08p+127f},
    {"exp, the first infinity", Function::exp, 0x1.62e43p+6f, inf},
    {"exp, the last denormal", Function::exp, -0x1.9fe368p+6f, least},
    {"exp, the first zero", Function::exp, -0x1.9fe36ap+6f, 0},
    {"exp of a denormal", Function::exp, least, 1},
    {"exp2(-inf)", Function::exp2, -inf, 0},
    {"exp2(-150), a tie, to even", Function::exp2, -150, 0},
    {"exp2(-149)", Function::exp2, -149, least},
    {"exp2(-126)", Function::exp2, -126, 0x1p-126f},
    {"exp2(-0)", Function::exp2, -0.0f, 1},
    {"exp2(127)", Function::exp2, 127, 0x1p127f},
    {"exp2(128)", Function::exp2, 128, inf},
    {"exp2(largest)", Function::exp2, 0x1.fffffep+127f, inf},
    {"log(0)", Function::log, 0, -inf},
    {"log(-0)", Function::log, -0.0f, -inf},
    {"log(1)", Function::log, 1, 0},
    {"log(inf)", Function::log, inf, inf},
    {"log(-least)", Function::log, -least, NAN},
    {"log(-inf)", Function::log, -inf, NAN},
    {"log of the least denormal", Function::log, least, -0x1.9d1da0p+6f},
    {"log1p(-0)", Function::log1p, -0.0f, -0.0f},
    {"log1p(0)", Function::log1p, 0, 0},
    {"log1p(-1)", Function::log1p, -1, -inf},
    {"log1p below -1", Function::log1p, -0x1.000002p+0f, NAN},
    {"log1p(inf)", Function::log1p, inf, inf},
    {"log1p of a denormal", Function::log1p, -least, -least},
    {"tanh(-0)", Function::tanh, -0.0f, -0.0f},
    {"tanh(0)", Function::tanh, 0, 0},
    {"tanh of a denormal", Function::tanh, 3 * least, 3 * least},
    {"tanh(-10)", Function::tanh, -10, -1},
    {"tanh(inf)", Function::tanh, inf, 1},
    {"sigmoid(-0)", Function::sigmoid, -0.0f, 0.5f},
    {"sigmoid(inf)", Function::sigmoid, inf, 1},
    {"sigmoid(-inf)", Function::sigmoid, -inf, 0},
    {"sigmoid, the last denormal", Function::sigmoid, -0x1.9fe368p+6f, least},
    {"erf(-0)", Function::erf, -0.0f, -0.0f},
    {"erf(0)", Function::erf, 0, 0},
    {"erf of a denormal", Function::erf, 100 * least, 113 * least},
    {"erf(4)", Function::erf, 4, 1},
    {"erf(-inf)", Function::erf, -inf, -1},
    {"rsqrt(0)", Function::rsqrt, 0, inf},
    {"rsqrt(-0)", Function::rsqrt, -0.0f, -inf},
    {"rsqrt(4)", Function::rsqrt, 4, 0.5f},
    {"rsqrt(2^-148)", Function::rsqrt, 2 * least, 0x1p74f},
    {"rsqrt(inf)", Function::rsqrt, inf, 0},
    {"rsqrt(-least)", Function::rsqrt, -least, NAN},
};

}  // namespace

TEST_CASE("values with a name") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    for (const Known& one : known) {
      CAPTURE(std::string(one.what));
      const auto expected = std::isnan(one.expected) ? 0x7fc00000 : bits_of({one.expected})[0];
      CHECK(mapped<std::uint32_t>(s, one.function, std::vector{one.x})[0] == expected);
    }
  }
}

TEST_CASE("2^n is exact for every integer n") {
  Session s(cpu());
  std::vector<float> x, expected;
  for (int n = -149; n < 128; ++n) {
    x.push_back(static_cast<float>(n));
    expected.push_back(std::ldexp(1.0f, n));
  }
  CHECK(mapped<float>(s, Function::exp2, x) == expected);
}

TEST_CASE("every NaN becomes the one NaN") {
  const std::vector<std::uint32_t> nans = {0x7fc00000, 0xffc00000, 0x7f800001,
                                           0xff800001, 0x7fffffff, 0xffffffff};
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    for (const Elementary& e : elementary) {
      CAPTURE(std::string(e.name));
      CHECK(mapped<std::uint32_t>(s, e.function, nans) ==
            std::vector<std::uint32_t>(nans.size(), 0x7fc00000));
    }
  }
}

TEST_CASE("the elementary functions are within the error stated, on every instruction set") {
  const std::vector<float> x = some_floats();
  Session s(cpu_reference());
  for (const Elementary& e : elementary) {
    CAPTURE(std::string(e.name));
    const auto y = mapped<float>(s, e.function, x);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      worst = std::max(worst, ulps(y[i], e.exact(static_cast<double>(x[i]))));
    }
    CHECK(worst <= e.ulps);
    CHECK(worst > 0.5);  // or the comparison is blind: none of them is correctly rounded
    check_variants(e.function, x, y);
  }
}

TEST_CASE("the ulp of the test: halfway is one half, a denormal counts in 2^-149") {
  CHECK(ulps(1.0f, 1.0 + 0x1p-24) == 0.5);
  CHECK(ulps(1.0f, 1.0 - 0x1p-25) == 0.5);
  CHECK(ulps(0.0f, 0x1p-150) == 0.5);
  CHECK(ulps(0x1p-126f, 0x1p-126 + 0x1p-149) == 1);
  CHECK(ulps(inf, 0x1.ffffffp127) == 0.5);
  CHECK(ulps(inf, 1e300) == 0);
  CHECK(ulps(0x1.fffffep127f, 1e300) == 1);
  CHECK(ulps(inf, 1.0) > 1e30);
  CHECK(std::isinf(ulps(1.0f, NAN)));
  CHECK(std::isinf(ulps(NAN, 1.0)));
}

TEST_CASE("tanh and erf are odd, to the bit") {
  std::vector<float> x = some_floats(), minus_x = x;
  for (float& value : minus_x) value = -value;
  Session s(cpu());
  for (Function function : {Function::tanh, Function::erf}) {
    const auto y = mapped<float>(s, function, x), minus_y = mapped<float>(s, function, minus_x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!std::isnan(x[i])) REQUIRE(bits_of({y[i]}) == bits_of({-minus_y[i]}));
    }
  }
}

TEST_CASE("sine and cosine of turns") {
  Session s(cpu_reference());
  const std::vector<std::uint64_t> quarters = {0, quarter_turn, 2 * quarter_turn, 3 * quarter_turn};
  CHECK(bits_of(mapped<float>(s, Function::sin_turns, quarters)) == bits_of({0, 1, 0, -1}));
  CHECK(bits_of(mapped<float>(s, Function::cos_turns, quarters)) == bits_of({1, 0, -1, 0}));
  const auto phases = some_phases();
  const auto sines = mapped<float>(s, Function::sin_turns, phases);
  const auto cosines = mapped<float>(s, Function::cos_turns, phases);
  double worst = 0;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(sines[i]) - sine(phases[i])));
    worst = std::max(worst,
                     std::fabs(static_cast<double>(cosines[i]) - sine(phases[i] + quarter_turn)));
  }
  CHECK(worst <= turns_error);
  CHECK(worst > turns_error / 4);
  check_variants(Function::sin_turns, phases, sines);
  check_variants(Function::cos_turns, phases, cosines);
}

TEST_CASE("16-bit formats: all values to fp32 and back, what lies between to the nearest") {
  const auto halves = all_halves();
  for (const Format& format : formats) {
    CAPTURE(static_cast<int>(format.to));
    Session s(cpu_reference());
    const auto wide = mapped<float>(s, format.from, halves);
    auto expected = halves;
    for (std::size_t h = 0; h < 65'536; ++h) {
      if ((h & 0x7fff) > format.infinity) {
        expected[h] = format.nan;
        REQUIRE(bits_of({wide[h]})[0] == 0x7fc00000);
      } else {  // sign, exponent and fraction, read as IEEE 754 says
        const int fraction_bits = format.precision - 1;
        const int exponent = static_cast<int>((h & 0x7fff) >> fraction_bits);
        const int hidden = exponent == 0 ? 0 : 1 << fraction_bits;
        const int fraction = static_cast<int>(h & ((1u << fraction_bits) - 1)) + hidden;
        double value = std::ldexp(fraction, format.least + std::max(exponent, 1) - 1);
        if ((h & 0x7fff) == format.infinity) value = inf;
        REQUIRE(static_cast<double>(wide[h]) == ((h & 0x8000) != 0 ? -value : value));
        REQUIRE(std::signbit(wide[h]) == ((h & 0x8000) != 0));
      }
    }
    CHECK(mapped<std::uint16_t>(s, format.to, wide) == expected);
    check_variants(format.from, halves, wide);
  }
}

TEST_CASE("16-bit formats: halfway goes to the even neighbour, beyond the largest to infinity") {
  for (const Format& format : formats) {
    CAPTURE(static_cast<int>(format.to));
    Session s(cpu_reference());
    const auto wide = mapped<float>(s, format.from, all_halves());
    std::vector<float> x;
    std::vector<std::uint16_t> expected;
    for (std::uint16_t h = 0; h < format.infinity; ++h) {
      const bool last = h + 1 == format.infinity;
      const float gap = last ? wide[h] - wide[h - 1] : wide[h + 1] - wide[h];
      const float middle = wide[h] + gap / 2;
      const auto above = static_cast<std::uint16_t>(h + 1), even = h % 2 == 0 ? h : above;
      for (const auto& [value, result] : {std::pair{std::nextafter(middle, 0.0f), h},
                                          {middle, even},
                                          {std::nextafter(middle, inf), above}}) {
        x.insert(x.end(), {value, -value});
        expected.insert(expected.end(), {result, static_cast<std::uint16_t>(result | 0x8000)});
      }
    }
    CHECK(mapped<std::uint16_t>(s, format.to, x) == expected);
    check_variants(format.to, x, expected);
  }
}

TEST_CASE("16-bit formats: floats of all sizes, infinities and NaNs") {
  const std::vector<float> x = some_floats();
  for (const Format& format : formats) {
    CAPTURE(static_cast<int>(format.to));
    Session s(cpu_reference());
    const auto narrow = mapped<std::uint16_t>(s, format.to, x);
    const auto wide = mapped<float>(s, format.from, narrow);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        REQUIRE(narrow[i] == format.nan);
      } else {
        REQUIRE(static_cast<double>(wide[i]) == rounded(format, static_cast<double>(x[i])));
        REQUIRE(std::signbit(wide[i]) == std::signbit(x[i]));
      }
    }
    check_variants(format.to, x, narrow);
  }
}

}  // namespace volt::kernels::test
