// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"

/// The elementary functions of the numerics contract (section 6), fp32 to fp32, and the 16-bit
/// formats. Straight lines of IEEE operations without a branch or a table, so that compilers make
/// vectors of a loop around them and a GPU a few dozen instructions.
///
/// The number after each formula is the largest error over all 2^32 floats, in units of the last
/// place that fp32 has at the exact result (2^-149 for denormals); tests/kernels/exact_slow.cpp
/// finds it, and that every function from exp to rsqrt is monotone. A NaN gives 0x7fc00000, and so
/// does an argument for which there is no result.
///
/// The polynomials are minimax: found by Remez' exchange at 40 digits, for the error relative to
/// the function; coefficients were rounded to fp32 one by one from the lowest degree, each time
/// fitting the rest anew. Evaluation is by Horner. Where a factor is pulled out, as in
/// f + (f q(f)) f, no intermediate is smaller than it has to be: denormals are slow on CPUs.

namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr float log2_e = 0x1.715476p+0f;
constexpr float ln2 = 0x1.62e43p-1f;        // above ln 2
constexpr float ln2_low = -0x1.05c61p-29f;  // ln 2 = ln2 + ln2_low
constexpr float to_integer = 0x1.8p+23f;    // floats of this size are the integers
constexpr std::uint32_t to_integer_bits = 0x4b400000u;

/// `value` within [low, high], low < 0 < high; a NaN becomes either. Integers are compared, since
/// compilers have one instruction for their minimum: as signed ones all negative floats are below
/// high, as unsigned ones all positive floats are below low.
VOLT_EXACT float clamped(float value, float low, float high) {
  const auto bits = static_cast<std::int32_t>(float_bits(value));
  const auto most = static_cast<std::int32_t>(float_bits(high));
  const auto capped = static_cast<std::uint32_t>(bits < most ? bits : most);
  return bits_float(capped < float_bits(low) ? capped : float_bits(low));
}

/// The smaller of |value| and a positive limit; the limit for NaN.
VOLT_EXACT float magnitude_within(float value, float limit) {
  const std::uint32_t bits = magnitude_bits(value);
  return bits_float(bits < float_bits(limit) ? bits : float_bits(limit));
}

/// |value| with the sign of `of`.
VOLT_EXACT float with_sign(float value, float of) {
  return bits_float(magnitude_bits(value) | (float_bits(of) & 0x80000000u));
}

/// `result`, unless the argument is NaN.
VOLT_EXACT float unless_nan(float argument, float result) {
  return argument == argument ? result : bits_float(canonical_nan_bits);
}

// ---- exponentials: 2^n e^r with n an integer

/// 2^k from an integer whose last nine bits are k + 127; the others are shifted out.
VOLT_EXACT float power_of_two(std::uint32_t exponent) { return bits_float(exponent << 23); }

/// x = n ln 2 + rest, |rest| <= ln 2 / 2; the last nine bits of `exponent` are n + bias.
struct ExpArgument {
  float rest;
  std::uint32_t exponent;
};

VOLT_EXACT ExpArgument exp_argument(float x, float bias) {
  const float t = fused(x, log2_e, to_integer + bias);  // rounds, n in the last bits of t
  const float n = t - (to_integer + bias);
  return {fused(n, -ln2_low, fused(n, -ln2, x)), float_bits(t)};
}

constexpr float exp_q4 = 0x1.6ac6ep-10f;
constexpr float exp_q3 = 0x1.123de2p-7f;
constexpr float exp_q2 = 0x1.555858p-5f;
constexpr float exp_q1 = 0x1.55548cp-3f;
constexpr float exp_q0 = 0x1.fffffcp-2f;

/// e^r - 1 = r + r (r q(r)) for |r| <= ln 2 / 2, to 2^-28.2 of e^r.
VOLT_EXACT float exp_rest(float r) {
  float q = exp_q4;
  q = fused(q, r, exp_q3);
  q = fused(q, r, exp_q2);
  q = fused(q, r, exp_q1);
  q = fused(q, r, exp_q0);
  return fused(q * r, r, r);
}

/// 2^n in two factors, since n may be anything that gives a denormal or an infinity. The last
/// ten bits of `exponent` are n + 254.
struct ExpScale {
  std::uint32_t half, other;  ///< exponents for power_of_two
};

VOLT_EXACT ExpScale exp_scale(std::uint32_t exponent) {
  return {exponent >> 1, exponent - (exponent >> 1)};
}

/// value * 2^n, rounded once.
VOLT_EXACT float exp_scaled(float value, std::uint32_t exponent) {
  const ExpScale s = exp_scale(exponent);
  return value * power_of_two(s.half) * power_of_two(s.other);
}

/// e^x; 1.02. exp(-inf) = +0.
VOLT_EXACT float exp(float x) {
  const ExpArgument a = exp_argument(clamped(x, -104.0f, 89.0f), 254.0f);
  return unless_nan(x, exp_scaled(1.0f + exp_rest(a.rest), a.exponent));
}

/// 2^x; 1.04, exact for integers.
VOLT_EXACT float exp2(float x) {
  const float kept = clamped(x, -151.0f, 129.0f);
  const float t = kept + (to_integer + 254.0f);
  const float rest = kept - (t - (to_integer + 254.0f));
  return unless_nan(x, exp_scaled(1.0f + exp_rest(rest * ln2), float_bits(t)));
}

/// 1 / (1 + e^-x); 2.49. With e^-x = p 2^a 2^b it is 2^-a / (2^-a + p 2^b), where nothing overflows
/// and only the quotient may be denormal.
VOLT_EXACT float sigmoid(float x) {
  const ExpArgument a = exp_argument(clamped(-x, -104.0f, 104.0f), 254.0f);
  const ExpScale s = exp_scale(a.exponent);
  const float one = power_of_two(254u - s.half);
  return unless_nan(x, one / fused(1.0f + exp_rest(a.rest), power_of_two(s.other), one));
}

/// e^x - 1 for -20 <= x <= 0, within about an ulp and without cancellation.
VOLT_EXACT float exp_minus_one(float x) {
  const ExpArgument a = exp_argument(x, 127.0f);
  const float scale = power_of_two(a.exponent);
  return fused(exp_rest(a.rest), scale, scale - 1.0f);
}

/// 2.50; odd, tanh(-0) = -0. With m = e^(-2|x|) - 1 it is -m / (2 + m) for x >= 0.
VOLT_EXACT float tanh(float x) {
  const float m = exp_minus_one(-2.0f * magnitude_within(x, 9.5f));
  return unless_nan(x, with_sign(m / (2.0f + m), x));
}

/// 1.77; odd, erf(-0) = -0. It is 1 - e^(-x - x g(x)) for x >= 0, and 1 from 3.93 on; g is minimax
/// for the error of erf, to 2^-27.8 of it.
VOLT_EXACT float erf(float x) {
  const float a = magnitude_within(x, 0x1.f7p+1f);
  float g = -0x1.3af6dcp-17f;
  g = fused(g, a, 0x1.f27f5cp-14f);
  g = fused(g, a, -0x1.4e259ap-11f);
  g = fused(g, a, 0x1.b74252p-10f);
  g = fused(g, a, -0x1.636f4p-13f);
  g = fused(g, a, -0x1.39b7cep-6f);
  g = fused(g, a, 0x1.a4f8c4p-4f);
  g = fused(g, a, 0x1.45f3p-1f);
  g = fused(g, a, 0x1.06eba8p-3f);
  return unless_nan(x, with_sign(exp_minus_one(-fused(g, a, a)), x));
}

// ---- logarithms: 2^e (1 + f) with f in [-1/4, 1/2)

/// e << 23 from the bits of a positive float.
VOLT_EXACT std::uint32_t log_exponent(std::uint32_t bits) {
  return (bits - 0x3f400000u) & 0xff800000u;
}

/// -e from e << 23; +0 for 0, so that it keeps the sign of a zero that it is multiplied and added
/// to.
VOLT_EXACT float log_minus_e(std::uint32_t shifted) {
  const auto e = static_cast<std::uint32_t>(static_cast<std::int32_t>(shifted) >> 23);
  return to_integer - bits_float(to_integer_bits + e);
}

/// ln(2^e (1 + f)), the polynomial to 2^-27.6 of ln(1 + f).
VOLT_EXACT float log_of(float f, float minus_e) {
  float q = -0x1.71e3eep-5f;
  q = fused(q, f, 0x1.ad088ap-4f);
  q = fused(q, f, -0x1.0da4b6p-3f);
  q = fused(q, f, 0x1.28848cp-3f);
  q = fused(q, f, -0x1.54ee08p-3f);
  q = fused(q, f, 0x1.9969aep-3f);
  q = fused(q, f, -0x1.00005p-2f);
  q = fused(q, f, 0x1.5555a8p-2f);
  q = fused(q, f, -0.5f);
  return fused(minus_e, -ln2, fused(q * f, f, f));
}

/// `result` where `pole` < argument < infinity.
VOLT_EXACT float log_domain(float argument, float pole, float result) {
  const float infinity = bits_float(infinity_bits);
  const float outside = argument == pole ? -infinity : bits_float(canonical_nan_bits);
  result = argument < infinity ? result : infinity;
  return argument > pole ? result : outside;
}

/// ln x; 0.92. log(+-0) = -inf, log(1) = +0. A denormal is scaled to a normal float, whose exponent
/// is then taken back below those that fp32 has.
VOLT_EXACT float log(float x) {
  const std::uint32_t normal = float_bits(x * 0x1p+23f) - (23u << 23);
  const std::uint32_t bits = x < 0x1p-126f ? normal : float_bits(x);
  const std::uint32_t e = log_exponent(bits);
  return log_domain(x, 0.0f, log_of(bits_float(bits - e) - 1.0f, log_minus_e(e)));
}

/// ln(1 + x); 0.91. log1p(-0) = -0, log1p(-1) = -inf. f = x 2^-e - (1 - 2^-e) without error, as
/// either e = 0 or the two are within a factor of two of each other. The one exception is the float
/// below 1/2, since 1 + x rounds up to 3/2: the polynomial was chosen among its neighbours so that
/// the bound holds there too.
VOLT_EXACT float log1p(float x) {
  const std::uint32_t e = log_exponent(float_bits(1.0f + x));
  const float four = bits_float(0x40800000u - e);  // 4 2^-e, because 2^-128 is denormal
  const float f = bits_float(float_bits(x) - e) - fused(four, -0.25f, 1.0f);
  return log_domain(x, -1.0f, log_of(f, log_minus_e(e)));
}

// ---- roots and angles

/// 1 / sqrt(x), each rounded; 1.50. rsqrt(+-0) = +-inf, rsqrt(inf) = +0.
VOLT_EXACT float rsqrt(float x) { return canonical(1.0f / square_root(x)); }

/// sin(2 pi h / 2^32), by polynomials in x = +-1/8 turn around the nearest quarter.
VOLT_EXACT float sin_of_word(std::uint32_t h) {
  const std::uint32_t quarter = (h + 0x20000000u) >> 30;
  const float x = static_cast<float>(static_cast<std::int32_t>(h - (quarter << 30))) * 0x1p-32f;
  const float u = x * x;
  float s = -0x1.2a7638p+6f;
  s = fused(s, u, 0x1.46496cp+6f);
  s = fused(s, u, -0x1.4abb68p+5f);
  s = fused(s, u, 0x1.921fb4p+2f);
  float c = 0x1.d47d3ep+5f;
  c = fused(c, u, -0x1.55b146p+6f);
  c = fused(c, u, 0x1.03c1aep+6f);
  c = fused(c, u, -0x1.3bd3ccp+4f);
  const float value = (quarter & 1u) != 0 ? fused(c, u, 1.0f) : s * x;
  return bits_float(float_bits(value) ^ (quarter & 2u) << 30) + 0.0f;
}

/// Sine and cosine of a phase in units of 2^-64 turn, of which the upper 32 bits count; 2^-23.4
/// absolute, exact at quarters of a turn, where 0 is +0.
VOLT_EXACT float sin_turns(std::uint64_t turns) {
  return sin_of_word(static_cast<std::uint32_t>(turns >> 32));
}
VOLT_EXACT float cos_turns(std::uint64_t turns) {
  return sin_of_word(static_cast<std::uint32_t>(turns >> 32) + 0x40000000u);
}

// ---- 16-bit formats

/// To nearest, ties to even, beyond the largest infinity; every NaN is 0x7fc0.
VOLT_EXACT std::uint16_t to_bf16(float x) {
  const std::uint32_t bits = float_bits(x);
  const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return static_cast<std::uint16_t>(magnitude_bits(x) > infinity_bits ? 0x7fc0u : rounded);
}

/// The same; every NaN is 0x7e00. Denormals are rounded by an addition: the unit of 1/2 is theirs.
VOLT_EXACT std::uint16_t to_fp16(float x) {
  const std::uint32_t m = magnitude_bits(x);
  const std::uint32_t normal = (m - (112u << 23) + 0xfffu + (m >> 13 & 1u)) >> 13;
  const std::uint32_t denormal = float_bits(bits_float(m) + 0.5f) - float_bits(0.5f);
  std::uint32_t half = m < float_bits(0x1p-14f) ? denormal : normal;
  half = m < float_bits(65520.0f) ? half : 0x7c00u;
  half |= float_bits(x) >> 16 & 0x8000u;
  return static_cast<std::uint16_t>(m > infinity_bits ? 0x7e00u : half);
}

/// Exact; NaNs become canonical.
VOLT_EXACT float from_bf16(std::uint16_t x) {
  return canonical(bits_float(static_cast<std::uint32_t>(x) << 16));
}

VOLT_EXACT float from_fp16(std::uint16_t x) {
  const std::uint32_t m = (x & 0x7fffu) << 13;
  const float denormal = bits_float(m + float_bits(0x1p-14f)) - 0x1p-14f;
  const float normal = bits_float(m + (112u << 23));
  float value = m < 0x0400u << 13 ? denormal : normal;
  value = m < 0x7c00u << 13 ? value : bits_float(infinity_bits);
  value = bits_float(float_bits(value) | (x & 0x8000u) << 16);
  return m > 0x7c00u << 13 ? bits_float(canonical_nan_bits) : value;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
