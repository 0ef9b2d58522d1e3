// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "exact.hpp"
#include "network.hpp"

/// The operations of network.hpp element by element, for every loop and every GPU kernel.
namespace volt::kernels {
inline namespace VOLT_ISA {

/// Head `i` of a matrix whose rows have `heads` of them, counted row by row.
template <class T>
VOLT_EXACT T* head_of(const View<T>& view, std::uint64_t i, std::uint64_t heads) {
  return view.data + i / heads * view.stride + i % heads * (view.cols / heads);
}

/// Of the contract: NaN never wins. Which of equal zeros does depends on the order, hence max + 0.
VOLT_EXACT float largest(float s, float m) { return s > m ? s : m; }

/// What an element of exp(apart) adds to the sum of cross_entropy's entropy.
VOLT_EXACT float weighted(float e, float apart, float sum) {
  return fused(e, largest(apart, -128.0f), sum);
}

/// x * factor + 0: no -0.
VOLT_EXACT float fused_apart(float x, float factor) { return x * factor + 0.0f; }

struct Angle {
  float cosine, sine;
};

VOLT_EXACT Angle angle_of(std::uint64_t phase, bool backward) {
  const float sine = sin_turns(phase);
  return {cos_turns(phase), backward ? -sine : sine};
}

struct Turned {
  float a, b;
};

VOLT_EXACT Turned turn(float a, float b, Angle by) {
  return {canonical(fused(-b, by.sine, a * by.cosine)),
          canonical(fused(a, by.sine, b * by.cosine))};
}

struct Slope {
  float value, slope;
};

VOLT_EXACT Slope silu(float x) {
  const float s = sigmoid(x);
  return {x * s, s * fused(x, 1.0f - s, 1.0f)};
}

VOLT_EXACT Slope gelu_tanh(float x) {
  const float square = x * x, half = 0.5f * x;
  const float t = tanh(0x1.988454p-1f * fused(0x1.6e4e26p-5f * square, x, x));
  const float rise = 0x1.988454p-1f * fused(0x1.12ba9ep-3f, square, 1.0f);
  return {half * (1.0f + t), fused(half * fused(-t, t, 1.0f), rise, 0.5f * (1.0f + t))};
}

VOLT_EXACT Slope era(float x, float temperature, float lambda) {
  const float z = x / temperature, s = sigmoid(z);
  const float magnitude = bits_float(magnitude_bits(z));
  const float entropy = fused(magnitude, 1.0f - sigmoid(magnitude), log1p(exp(-magnitude)));
  const float g = fused(lambda, entropy, 1.0f), d = s * (1.0f - s);
  const float bend = (x * (d / temperature)) * fused(-(lambda * s), z, g);
  return {(x * s) * g, fused(s, g, bend)};
}

VOLT_EXACT Slope activation(const ActivationOf& f, float x) {
  if (f.kind == Activation::silu) return silu(x);
  return f.kind == Activation::gelu_tanh ? gelu_tanh(x) : era(x, f.temperature, f.lambda);
}

/// A random word as fp32 in [0, 1): its upper 24 bits, so that both steps are exact.
VOLT_EXACT float word_to_unit(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

/// Whether dropout keeps the element of a random word.
VOLT_EXACT bool keeps(std::uint32_t word, float p) { return word_to_unit(word) >= p; }

/// The u of row `row` of a draw.
template <class T>
VOLT_EXACT float drawn_by(const Draw<T>& job, std::uint64_t row) {
  const std::uint64_t word = job.first + row;
  return word_to_unit(random_block(job.seed, job.stream, word / 4).word[word % 4]);
}

VOLT_EXACT bool is_finite(float value) { return magnitude_bits(value) < infinity_bits; }

/// Tokens in the order in which draw takes them, as ascending integers; p is not below +0.
VOLT_EXACT std::uint64_t place_of(float p, std::uint32_t token) {
  return std::uint64_t{~float_bits(p)} << 32 | token;
}
VOLT_EXACT float p_at(std::uint64_t place) {
  return bits_float(~static_cast<std::uint32_t>(place >> 32));
}
VOLT_EXACT std::uint32_t token_at(std::uint64_t place) { return static_cast<std::uint32_t>(place); }

/// The values of NF4 (arXiv 2305.14314, appendix E), as bitsandbytes has them.
VOLT_EXACT constexpr float nf4_value(std::uint32_t nibble) {
  constexpr float values[16] = {
      -1.0f,
      -0.6961928009986877f,
      -0.5250730514526367f,
      -0.39491748809814453f,
      -0.28444138169288635f,
      -0.18477343022823334f,
      -0.09105003625154495f,
      0.0f,
      0.07958029955625534f,
      0.16093020141124725f,
      0.24611230194568634f,
      0.33791524171829224f,
      0.44070982933044434f,
      0.5626170039176941f,
      0.7229568362236023f,
      1.0f,
  };
  return values[nibble];
}

/// Entry `code` of bitsandbytes' signed dynamic map of 8 bits, in ascending order: 0 is entry 127,
/// 1 the last; for each power of ten from 1e-6 to 1, number i from 0, entries +-place = 2^i + j are
/// +-(2^(i+1) + 9 (2j+1)) / (2^(i+1) 10^(7-i)), the centres of 2^i equal parts of [0.1, 1] of it.
/// Both numbers are exact in fp32, so that one division makes the fp32 nearest to each.
VOLT_EXACT constexpr float dynamic_value(std::uint32_t code) {
  if (code == 127) return 0.0f;
  if (code == 255) return 1.0f;
  const std::uint32_t place = code < 127 ? 127 - code : code - 127;
  std::uint32_t parts = 1, divisor = 20'000'000;
  for (; 2 * parts <= place; parts *= 2) divisor /= 5;
  const std::uint32_t number = 2 * parts + 9 * (2 * (place - parts) + 1);
  const float magnitude = static_cast<float>(number) / static_cast<float>(divisor);
  return code < 127 ? -magnitude : magnitude;
}

/// The sign bit that element j of 128 takes in a rotation: bit j % 32 of word j / 32 of the first
/// fractional digits of pi. Without them the first butterfly gathers whatever elements have in
/// common, such as a mean, in one of the group's, which then sets its scale.
VOLT_EXACT constexpr std::uint32_t rotation_sign(std::uint32_t j) {
  constexpr std::uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
  return pi[j / 32] >> j % 32 << 31;
}

/// The largest magnitude of a block of NF4.
VOLT_EXACT float nf4_absmax(float mapped, float scale, float offset) {
  return mapped * scale + offset;
}

/// What keep_largest orders by: the magnitude as an unsigned integer, of NaN the largest.
VOLT_EXACT std::uint32_t size_of(float y, float d) { return magnitude_bits(canonical(y + d)); }

/// Whether it puts column i, of size `own`, behind column j.
VOLT_EXACT bool is_behind(std::uint32_t own, std::uint64_t i, std::uint32_t other,
                          std::uint64_t j) {
  return other > own || (other == own && j < i);
}

struct AdamFactors {
  float minus_rate, minus_decay, beta1, rest1, beta2, rest2, epsilon, correction1, correction2,
      factor;
};

template <class Job>
VOLT_EXACT AdamFactors factors_of(const Job& job) {
  return {-job.rate,       -(job.rate * job.decay),
          job.beta1,       1.0f - job.beta1,
          job.beta2,       1.0f - job.beta2,
          job.epsilon,     job.correction1,
          job.correction2, job.factor};
}

struct AdamState {
  float p, m, v;
};

VOLT_EXACT AdamState adam_step(const AdamFactors& f, AdamState now, float gradient) {
  const float d = gradient * f.factor;
  const float m = fused(f.beta1, now.m, f.rest1 * d);
  const float v = fused(f.beta2, now.v, f.rest2 * (d * d));
  const float w = fused(f.minus_decay, now.p, now.p);
  const float step = (m / f.correction1) / (square_root(v / f.correction2) + f.epsilon);
  return {canonical(fused(f.minus_rate, step, w)), canonical(m), canonical(v)};
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
