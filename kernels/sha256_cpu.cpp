// SPDX-License-Identifier: Apache-2.0

#include "sha256_cpu.hpp"

#include <algorithm>
#include <cstring>

#include "sha256.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace volt::kernels {
namespace {

std::uint32_t big_endian(const std::uint8_t* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return swapped_bytes(word);
}

void put_big_endian(std::uint8_t* p, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

#if defined(__x86_64__)

// Intel's SHA extensions keep the state as (a,b,e,f) and (c,d,g,h), highest word first.
__attribute__((target("sha,sse4.1,ssse3"))) void compress_sha_ni(std::uint32_t state[8],
                                                                 const std::uint8_t* data,
                                                                 std::size_t blocks) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state + 4));
  const __m128i badc = _mm_shuffle_epi32(low, 0xb1), hgfe = _mm_shuffle_epi32(high, 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  for (; blocks != 0; --blocks, data += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 16; ++i) {
      __m128i& now = w[i % 4];
      if (i < 4) {
        now = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + 16 * i));
        now = _mm_shuffle_epi8(now, swap);
      } else {
        const __m128i minus7 = _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4);
        now = _mm_sha256msg1_epu32(now, w[(i + 1) % 4]);
        now = _mm_sha256msg2_epu32(_mm_add_epi32(now, minus7), w[(i + 3) % 4]);
      }
      const __m128i k = _mm_load_si128(reinterpret_cast<const __m128i*>(sha256_constants + 4 * i));
      const __m128i sum = _mm_add_epi32(now, k);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

bool has_sha_ni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b & bit_SHA) == 0) return false;
  return __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

#endif

}  // namespace

void sha256_compress_scalar(std::uint32_t state[8], const std::uint8_t* data, std::size_t blocks) {
  Sha256State s;
  std::copy_n(state, 8, s.word);
  for (; blocks != 0; --blocks, data += 64) {
    std::uint32_t w[16];
    for (int i = 0; i < 16; ++i) w[i] = big_endian(data + 4 * i);
    sha256_block(s, w);
  }
  std::copy_n(s.word, 8, state);
}

Sha256Compress sha256_compress_best() {
#if defined(__x86_64__)
  static const bool fast = has_sha_ni();
  if (fast) return compress_sha_ni;
#endif
  return sha256_compress_scalar;
}

void sha256(Sha256Compress compress, const std::uint8_t* prefix, std::size_t prefix_size,
            const std::uint8_t* data, std::size_t size, std::uint8_t digest[32]) {
  Sha256State state;
  const std::uint64_t bits = (std::uint64_t{prefix_size} + size) * 8;
  std::uint8_t block[128] = {};  // what does not come as whole blocks of `data`
  std::size_t held = prefix_size;
  if (held != 0) {
    std::memcpy(block, prefix, held);
    const std::size_t take = std::min(64 - held, size);
    if (take != 0) std::memcpy(block + held, data, take);
    held += take, data += take, size -= take;
    if (held == 64) {
      compress(state.word, block, 1);
      held = 0;
    }
  }
  if (held == 0) {
    compress(state.word, data, size / 64);
    data += size / 64 * 64;
    held = size % 64;
    if (held != 0) std::memcpy(block, data, held);
  }
  const std::size_t padded = held < 56 ? 64 : 128;
  block[held] = 0x80;
  std::memset(block + held + 1, 0, padded - held - 1);
  put_big_endian(block + padded - 8, static_cast<std::uint32_t>(bits >> 32));
  put_big_endian(block + padded - 4, static_cast<std::uint32_t>(bits));
  compress(state.word, block, padded / 64);
  for (int i = 0; i < 8; ++i) put_big_endian(digest + 4 * i, state.word[i]);
}

}  // namespace volt::kernels
