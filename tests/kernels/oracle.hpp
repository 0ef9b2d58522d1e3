// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>

#include "support.hpp"

/// What the elementary functions should give: glibc's in double, each with the error that
/// elementary.hpp states for it.
namespace volt::kernels::test {

struct Elementary {
  const char* name;
  Function function;
  double ulps;    ///< the error stated
  int direction;  ///< 1 rises, -1 falls
  double (*exact)(double);
};

inline constexpr Elementary elementary[] = {
    {"exp", Function::exp, 1.02, 1, [](double x) { return std::exp(x); }},
    {"exp2", Function::exp2, 1.04, 1, [](double x) { return std::exp2(x); }},
    {"log", Function::log, 0.92, 1, [](double x) { return std::log(x); }},
    {"log1p", Function::log1p, 0.91, 1, [](double x) { return std::log1p(x); }},
    {"tanh", Function::tanh, 2.5, 1, [](double x) { return std::tanh(x); }},
    {"sigmoid", Function::sigmoid, 2.49, 1,
     [](double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }},
    {"erf", Function::erf, 1.77, 1, [](double x) { return std::erf(x); }},
    {"rsqrt", Function::rsqrt, 1.5, -1, [](double x) { return 1 / std::sqrt(x); }},
};

/// Error of `got` in units of the last place that fp32 has at `exact`. An infinity counts as 2^128,
/// the number that it stands in for; what is wrong in kind is infinitely wrong.
inline double ulps(float got, double exact) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (std::isnan(exact)) return std::bit_cast<std::uint32_t>(got) == 0x7fc00000 ? 0 : infinity;
  if (std::isnan(got)) return infinity;
  if (std::isinf(exact)) return static_cast<double>(got) == exact ? 0 : infinity;
  const double value = std::isinf(got) ? std::copysign(0x1p128, got) : static_cast<double>(got);
  const double wanted = std::min(std::max(exact, -0x1p128), 0x1p128);
  const double size = std::min(std::max(std::fabs(wanted), 0x1p-126), 0x1p127);
  const auto binade = std::bit_cast<std::uint64_t>(size) & 0x7ff0000000000000;  // 2^n <= size
  return std::fabs(value - wanted) / (std::bit_cast<double>(binade) * 0x1p-23);
}

/// sin(2 pi phase / 2^64).
inline double sine(std::uint64_t phase) {
  constexpr double tau = 6.283185307179586;
  return std::sin(tau * 0x1p-64 * static_cast<double>(static_cast<std::int64_t>(phase)));
}
constexpr std::uint64_t quarter_turn = std::uint64_t{1} << 62;
constexpr double turns_error = 0x1.7p-24;  // 2^-23.47

/// A 16-bit format: `precision` bits, the lowest in units of 2^least, below `limit` = 2^(emax + 1).
struct Format {
  Function to, from;
  int precision, least;
  double limit;
  std::uint16_t infinity, nan;
};
inline constexpr Format formats[] = {
    {Function::to_bf16, Function::from_bf16, 8, -133, 0x1p128, 0x7f80, 0x7fc0},
    {Function::to_fp16, Function::from_fp16, 11, -24, 0x1p16, 0x7c00, 0x7e00},
};

/// x in that format, to nearest, ties to even.
inline double rounded(const Format& format, double x) {
  if (!std::isfinite(x) || x == 0) return x;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(x) - format.precision + 1, format.least));
  const double value = std::nearbyint(x / unit) * unit;
  return std::fabs(value) < format.limit ? value : std::copysign(INFINITY, x);
}

/// function(x) on a backend.
template <class Out, class In>
std::vector<Out> mapped(Session& s, Function function, const std::vector<In>& x) {
  Buffer* const from = s.put(x);
  Buffer* const to = s.room(x.size() * sizeof(Out));
  VOLT_OK(s.table.map(s.context, function, from, 0, to, 0, x.size()));
  return s.get<Out>(to, x.size());
}

}  // namespace volt::kernels::test
