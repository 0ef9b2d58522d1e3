// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "exact.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// The widest vectors of the instruction set that this file is compiled for, as the compilers'
/// vector extension; intrinsics only where it has no words for the operation.
namespace volt::kernels {
inline namespace VOLT_ISA {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * lanes)));
typedef std::uint32_t Words __attribute__((vector_size(4 * lanes)));  // sums wrap around

#define VOLT_VECTOR __attribute__((always_inline)) static inline
#define VOLT_MEMBER __attribute__((always_inline))

template <class V>
VOLT_VECTOR V load(const void* from) {
  V value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

template <class V>
VOLT_VECTOR void store(void* to, V value) {
  __builtin_memcpy(to, &value, sizeof value);
}

/// How far from byte `at` of `bytes` in a row that is being read, one of several side by side, lies
/// what will be read a little later: of the same row, or, near its end, of the one `next` bytes on.
/// Rows are too short for the processor to see by itself what comes.
VOLT_VECTOR std::uint64_t to_prefetch(std::uint64_t at, std::uint64_t bytes, std::uint64_t next) {
  constexpr std::uint64_t later = 1024;
  return at + later < bytes ? later : next + later - bytes;
}

/// The address may lie beyond the matrix; nothing is read there.
VOLT_VECTOR void prefetch(const void* row, std::uint64_t ahead) {
  const auto address = reinterpret_cast<std::uintptr_t>(row) + ahead;
  __builtin_prefetch(reinterpret_cast<const void*>(address), 0, 2);
}

/// FirstPlaces<n>::Type is Places<0, 1, ... n - 1>, for shuffles.
template <int... i>
struct Places {};
template <int n, int... i>
struct FirstPlaces : FirstPlaces<n - 1, n - 1, i...> {};
template <int... i>
struct FirstPlaces<0, i...> {
  typedef Places<i...> Type;
};

VOLT_VECTOR Floats spread(float value) { return value - Floats{}; }  // x - 0 is x, -0 included
VOLT_VECTOR Words spread(std::uint32_t value) { return value + Words{}; }

VOLT_VECTOR Floats fused(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  for (int i = 0; i < lanes; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#endif
}

VOLT_VECTOR Floats canonical(Floats value) {
  const Ints number = (Ints)(value == value);
  return (Floats)(((Ints)value & number) |
                  (~number & static_cast<std::int32_t>(canonical_nan_bits)));
}

template <int distance, int... i>
VOLT_VECTOR Floats swapped(Floats v, Places<i...>) {
  return (Floats)__builtin_shufflevector(v, v, (i ^ distance)...);
}

/// Element i is that of i ^ distance.
template <int distance>
VOLT_VECTOR Floats swapped(Floats v) {
  return swapped<distance>(v, typename FirstPlaces<lanes>::Type{});
}

template <int... i>
VOLT_VECTOR Ints counted(Places<i...>) {
  return Ints{i...};
}

/// The first `count` elements, and `other` in the place of the rest.
VOLT_VECTOR Floats first_of(Floats v, std::int32_t count, float other) {
  return counted(FirstPlaces<lanes>::Type{}) < count ? v : spread(other);
}

VOLT_VECTOR Floats to_floats(Words value) { return __builtin_convertvector((Ints)value, Floats); }

/// How int8 operands are packed into words, and their inner product. With VNNI four to a word, one
/// side biased to unsigned by 128 (what a product starts from takes 128 times the sum of the other
/// off again); the form that saturates is not used, and wrapping cancels out. Otherwise two to a
/// word as int16: a pair of products is at most 2^15 and so exact for all int8.
#if defined(__AVX512VNNI__)
constexpr int unit = 4;
constexpr std::uint32_t bias = 0x80808080u;
#else
constexpr int unit = 2;
constexpr std::uint32_t bias = 0;
#endif

VOLT_VECTOR Words dot(Words sum, Words a, Words b) {
#if defined(__AVX512VNNI__)
  return (Words)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512F__)
  return sum + (Words)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && defined(__FMA__)
  return sum + (Words)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return sum + (Words)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  const Ints x = (Ints)a, y = (Ints)b;
  const Ints low = ((x << 16) >> 16) * ((y << 16) >> 16);
  return sum + (Words)low + (Words)((x >> 16) * (y >> 16));
#endif
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
