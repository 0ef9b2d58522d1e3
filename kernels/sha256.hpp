// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "exact.hpp"

/// SHA-256 (FIPS 180-4), a block at a time, for any processor.
namespace volt::kernels {

/// K of section 4.2.2.
alignas(16) inline constexpr std::uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

inline namespace VOLT_ISA {

struct Sha256State {
  std::uint32_t word[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

VOLT_EXACT std::uint32_t rotated_right(std::uint32_t x, int count) {
  return x >> count | x << (32 - count);
}

/// The word whose bytes are those of `x` in the other order.
VOLT_EXACT std::uint32_t swapped_bytes(std::uint32_t x) {
  return x >> 24 | (x >> 8 & 0xff00u) | (x << 8 & 0xff0000u) | x << 24;
}

/// Round i of section 6.2.2. Instead of moving on, the eight variables change their parts, and so
/// do the last 16 words of the schedule. K is a constant of the code: a GPU has no such table.
template <int i>
VOLT_EXACT void sha256_round(std::uint32_t (&s)[8], std::uint32_t (&w)[16]) {
  constexpr std::uint32_t k = sha256_constants[i];
  if constexpr (i >= 16) {
    const std::uint32_t x = w[(i + 1) % 16], y = w[(i + 14) % 16];
    w[i % 16] += (rotated_right(x, 7) ^ rotated_right(x, 18) ^ x >> 3) + w[(i + 9) % 16] +
                 (rotated_right(y, 17) ^ rotated_right(y, 19) ^ y >> 10);
  }
  constexpr auto part = [](int variable) { return (variable + 64 - i) % 8; };
  const std::uint32_t a = s[part(0)], b = s[part(1)], c = s[part(2)];
  const std::uint32_t e = s[part(4)], f = s[part(5)], g = s[part(6)];
  std::uint32_t &d = s[part(3)], &h = s[part(7)];
  h += (rotated_right(e, 6) ^ rotated_right(e, 11) ^ rotated_right(e, 25)) + ((e & f) ^ (~e & g)) +
       k + w[i % 16];
  d += h;
  h += (rotated_right(a, 2) ^ rotated_right(a, 13) ^ rotated_right(a, 22)) +
       ((a & b) ^ (a & c) ^ (b & c));
}

template <int... i>
VOLT_EXACT void sha256_rounds(std::uint32_t (&s)[8], std::uint32_t (&w)[16],
                              std::integer_sequence<int, i...>) {
  (sha256_round<i>(s, w), ...);
}

/// Takes in one block, as 16 big-endian words, which are lost.
VOLT_EXACT void sha256_block(Sha256State& state, std::uint32_t (&w)[16]) {
  std::uint32_t s[8];
  for (int i = 0; i < 8; ++i) s[i] = state.word[i];
  sha256_rounds(s, w, std::make_integer_sequence<int, 64>{});
  for (int i = 0; i < 8; ++i) state.word[i] += s[i];
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
