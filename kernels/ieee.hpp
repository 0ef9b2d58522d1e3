// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// The operations of IEEE 754 that exact arithmetic is made of, for host and device. Includes
/// nothing that a device lacks; of libm only fmaf, rintf and sqrtf, which the standard defines to
/// the bit.
///
/// Every function is static and lives in a namespace of its instruction set (VOLT_ISA, given by the
/// build). Otherwise the linker would keep one copy of several, and it might be the one compiled
/// for AVX-512, on a CPU that has none.

#ifndef VOLT_ISA
#define VOLT_ISA baseline
#endif

#if defined(__CUDACC__)
#define VOLT_HOST_DEVICE __host__ __device__
#else
#define VOLT_HOST_DEVICE
static_assert(__FLT_EVAL_METHOD__ == 0, "fp32 expressions must be evaluated in fp32");
#endif

#define VOLT_EXACT VOLT_HOST_DEVICE static inline

namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr std::uint32_t canonical_nan_bits = 0x7fc00000u;
constexpr std::uint32_t infinity_bits = 0x7f800000u;

VOLT_EXACT std::uint32_t float_bits(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
#endif
}

VOLT_EXACT float bits_float(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

VOLT_EXACT float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

/// Round to the nearest integer, ties to even (the rounding mode is the contract's).
VOLT_EXACT float round_even(float value) {
#if defined(__CUDA_ARCH__)
  return rintf(value);
#else
  return __builtin_rintf(value);
#endif
}

VOLT_EXACT float square_root(float value) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(value);
#else
  return __builtin_sqrtf(value);
#endif
}

/// `value`, or the one NaN that computed tensors hold.
VOLT_EXACT float canonical(float value) {
  return value == value ? value : bits_float(canonical_nan_bits);
}

/// Magnitude for amax: orders as an unsigned integer, infinities and NaNs above all numbers.
VOLT_EXACT std::uint32_t magnitude_bits(float value) { return float_bits(value) & 0x7fffffffu; }

}  // namespace VOLT_ISA
}  // namespace volt::kernels
