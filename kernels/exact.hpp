// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elementary.hpp"
#include "ieee.hpp"

/// The arithmetic of the numerics contract, element by element: what every loop and every GPU
/// kernel is made of. Here quantising and random numbers; the functions of analysis are in
/// elementary.hpp, the operations under both in ieee.hpp.

namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr std::uint32_t smallest_amax_bits = 0x0d800000u;  // 2^-100

/// What becomes of a group: with `keep` false every q is 0, whatever the elements are.
struct GroupScale {
  float scale;
  float inverse;
  bool keep;
};

/// The largest element becomes `most`: of int8, or of two limbs.
constexpr float most_i8 = 127.0f, most_limbs = 16256.0f;

VOLT_EXACT GroupScale group_scale(std::uint32_t amax_bits, float most = most_i8) {
  if (amax_bits >= infinity_bits) return {bits_float(canonical_nan_bits), 0.0f, false};
  if (amax_bits < smallest_amax_bits) return {0.0f, 0.0f, false};
  const float amax = bits_float(amax_bits);
  return {amax / most, most / amax, true};
}

VOLT_EXACT std::int32_t quantise_whole(float value, GroupScale group) {
  const float kept = group.keep ? value : 0.0f;  // converting a NaN would be undefined
  return static_cast<std::int32_t>(round_even(kept * group.inverse));
}

VOLT_EXACT std::int8_t quantise_one(float value, GroupScale group) {
  return static_cast<std::int8_t>(quantise_whole(value, group));
}

/// A number of two limbs, 128 * high + low.
struct Limbs {
  std::int8_t high, low;
};

VOLT_EXACT Limbs limbs_of(std::int32_t q) {
  const std::int32_t high = (q + 64) >> 7;
  return {static_cast<std::int8_t>(high), static_cast<std::int8_t>(q - 128 * high)};
}

/// One group of an i8x product. |sum| <= 2^21, so that its conversion is exact.
VOLT_EXACT float i8x_step(float accumulator, std::int32_t sum, float scale_a, float scale_b) {
  return fused(static_cast<float>(sum), scale_a * scale_b, accumulator);
}

/// What the sums of limbs of a group come to: of high * high, of high * low and low * high, and of
/// low * low. None is above 2^22, so that their conversions are exact.
VOLT_EXACT float limbs_joined(float hh, float hl, float ll) {
  return fused(hh, 16384.0f, fused(hl, 128.0f, ll));
}
VOLT_EXACT float limbs_sum(std::int32_t hh, std::int32_t hl, std::int32_t ll) {
  return limbs_joined(static_cast<float>(hh), static_cast<float>(hl), static_cast<float>(ll));
}

struct PhiloxBlock {
  std::uint32_t word[4];
};

/// Philox 4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC11).
VOLT_EXACT PhiloxBlock philox(PhiloxBlock counter, std::uint32_t key_low, std::uint32_t key_high) {
  std::uint32_t c0 = counter.word[0], c1 = counter.word[1];
  std::uint32_t c2 = counter.word[2], c3 = counter.word[3];
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ key_low;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ key_high;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Block `index` of the stream (seed, stream).
VOLT_EXACT PhiloxBlock random_block(std::uint64_t seed, std::uint32_t stream, std::uint64_t index) {
  const PhiloxBlock counter = {
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream, 0}};
  return philox(counter, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
}

/// A random word as fp32 in [-1, 1): 24 bits, so that both steps are exact.
VOLT_EXACT float word_to_f32(std::uint32_t word) {
  return static_cast<float>(static_cast<std::int32_t>(word) >> 8) * 0x1p-23f;
}

/// Byte `index` of a random word, lowest first.
VOLT_EXACT std::int8_t word_to_i8(std::uint32_t word, unsigned index) {
  return static_cast<std::int8_t>(static_cast<std::uint8_t>(word >> (8 * index)));
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
