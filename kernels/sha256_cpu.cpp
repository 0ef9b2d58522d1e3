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

#define VOLT_SHA __attribute__((target("sha,sse4.1,ssse3")))

// Intel's SHA extensions keep the state as (a,b,e,f) and (c,d,g,h), highest word first. One message
// alone waits for the results of each round; several side by side fill the time.
template <int messages>
VOLT_SHA void compress_sha_ni(std::uint32_t* const (&states)[messages],
                              const std::uint8_t* const (&data)[messages], std::size_t blocks) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abef[messages], cdgh[messages];
  for (int m = 0; m < messages; ++m) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(states[m]));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(states[m] + 4));
    const __m128i badc = _mm_shuffle_epi32(low, 0xb1), hgfe = _mm_shuffle_epi32(high, 0x1b);
    abef[m] = _mm_alignr_epi8(badc, hgfe, 8);
    cdgh[m] = _mm_blend_epi16(hgfe, badc, 0xf0);
  }
  for (std::size_t block = 0; block < blocks; ++block) {
    __m128i abef_before[messages], cdgh_before[messages], w[messages][4];
    for (int m = 0; m < messages; ++m) abef_before[m] = abef[m], cdgh_before[m] = cdgh[m];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      const __m128i k = _mm_load_si128(reinterpret_cast<const __m128i*>(sha256_constants + 4 * i));
#pragma GCC unroll 2
      for (int m = 0; m < messages; ++m) {
        __m128i& now = w[m][i % 4];
        if (i < 4) {
          now = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data[m] + 64 * block +
                                                                 16 * static_cast<unsigned>(i)));
          now = _mm_shuffle_epi8(now, swap);
        } else {
          const __m128i minus7 = _mm_alignr_epi8(w[m][(i + 3) % 4], w[m][(i + 2) % 4], 4);
          now = _mm_sha256msg1_epu32(now, w[m][(i + 1) % 4]);
          now = _mm_sha256msg2_epu32(_mm_add_epi32(now, minus7), w[m][(i + 3) % 4]);
        }
        const __m128i sum = _mm_add_epi32(now, k);
        cdgh[m] = _mm_sha256rnds2_epu32(cdgh[m], abef[m], sum);
        abef[m] = _mm_sha256rnds2_epu32(abef[m], cdgh[m], _mm_shuffle_epi32(sum, 0x0e));
      }
    }
    for (int m = 0; m < messages; ++m) {
      abef[m] = _mm_add_epi32(abef[m], abef_before[m]);
      cdgh[m] = _mm_add_epi32(cdgh[m], cdgh_before[m]);
    }
  }
  for (int m = 0; m < messages; ++m) {
    const __m128i feba = _mm_shuffle_epi32(abef[m], 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh[m], 0xb1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(states[m]), _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(states[m] + 4), _mm_alignr_epi8(dchg, feba, 8));
  }
}

void compress_one(std::uint32_t state[8], const std::uint8_t* data, std::size_t blocks) {
  compress_sha_ni<1>({state}, {data}, blocks);
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
  if (fast) return compress_one;
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

namespace {

constexpr std::uint64_t page_size = 4096;
constexpr std::uint8_t leaf = 0x00;

#if defined(__x86_64__)

// Leaves of two whole pages: 0x00 and 63 bytes, 63 blocks as they lie, the last byte and the
// padding.
void two_leaves(const std::uint8_t* pages, std::uint8_t* digests) {
  Sha256State states[2];
  std::uint8_t first[2][64], last[2][64] = {};
  for (int m = 0; m < 2; ++m) {
    const std::uint8_t* const page = pages + page_size * static_cast<unsigned>(m);
    first[m][0] = leaf;
    std::memcpy(first[m] + 1, page, 63);
    last[m][0] = page[page_size - 1];
    last[m][1] = 0x80;
    put_big_endian(last[m] + 60, 8 * (1 + page_size));
  }
  std::uint32_t* const to[2] = {states[0].word, states[1].word};
  compress_sha_ni<2>(to, {first[0], first[1]}, 1);
  compress_sha_ni<2>(to, {pages + 63, pages + page_size + 63}, 63);
  compress_sha_ni<2>(to, {last[0], last[1]}, 1);
  for (int i = 0; i < 16; ++i) put_big_endian(digests + 4 * i, states[i / 8].word[i % 8]);
}

#endif

}  // namespace

void leaf_digests(const std::uint8_t* data, std::uint64_t bytes, std::uint8_t* digests) {
  const Sha256Compress compress = sha256_compress_best();
  std::uint64_t done = 0;
#if defined(__x86_64__)
  if (compress == compress_one) {
    for (; bytes - done >= 2 * page_size; done += 2 * page_size, digests += 64) {
      two_leaves(data + done, digests);
    }
  }
#endif
  for (; done < bytes; done += page_size, digests += 32) {
    sha256(compress, &leaf, 1, data + done, std::min(page_size, bytes - done), digests);
  }
}

}  // namespace volt::kernels
