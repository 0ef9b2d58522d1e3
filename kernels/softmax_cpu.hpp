// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "network_functions.hpp"
#include "vector_cpu.hpp"

/// What a softmax is made of, a vector at a time.
namespace volt::kernels {
inline namespace VOLT_ISA {

VOLT_VECTOR Floats exp_rest(Floats r) {
  Floats q = spread(exp_q4);
  q = fused(q, r, spread(exp_q3));
  q = fused(q, r, spread(exp_q2));
  q = fused(q, r, spread(exp_q1));
  q = fused(q, r, spread(exp_q0));
  return fused(q * r, r, r);
}

/// exp of elementary.hpp, to the bit but for which NaN. What becomes 0 is not computed: a result
/// below the normal floats takes some CPUs a hundred cycles. AVX-512 scales by any power of two in
/// one instruction, which rounds once as well. A NaN passes through all of it.
VOLT_VECTOR Floats exp(Floats x) {
#if defined(__AVX512F__)
  const __mmask16 some = _mm512_cmp_ps_mask((__m512)x, (__m512)spread(-104.0f), _CMP_NLT_UQ);
  x = (Floats)_mm512_maskz_mov_ps(some, (__m512)x);
#else
  const Ints some = ~(Ints)(x < -104.0f);
  x = (Floats)((Ints)x & some);
#endif
  x = x > 89.0f ? spread(89.0f) : x;
  const Floats integer = spread(to_integer + 254.0f);
  const Floats t = fused(x, spread(log2_e), integer), n = t - integer;
  const Floats y = 1.0f + exp_rest(fused(n, spread(-ln2_low), fused(n, spread(-ln2), x)));
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_scalef_ps(some, (__m512)y, (__m512)n);
#else
  const Words half = (Words)t >> 1, other = (Words)t - half;
  return (Floats)((Ints)(y * (Floats)(half << 23) * (Floats)(other << 23)) & some);
#endif
}

/// Those of network_functions.hpp.
VOLT_VECTOR Floats largest(Floats s, Floats m) { return s > m ? s : m; }

VOLT_VECTOR Floats weighted(Floats e, Floats apart, Floats sum) {
  return fused(e, largest(apart, spread(-128.0f)), sum);
}

template <int distance = lanes / 2>
VOLT_VECTOR float largest_of(Floats v) {
  if constexpr (distance == 0) {
    return v[0];
  } else {
    return largest_of<distance / 2>(largest(v, swapped<distance>(v)));
  }
}

/// Of all, + 0.
VOLT_VECTOR float largest_of(const float* s, std::uint64_t count) {
  constexpr int chains = 4;  // which hide how long a comparison takes
  Floats most[chains];
  for (Floats& one : most) one = spread(-__builtin_inff());
  std::uint64_t i = 0;
  for (; i + chains * lanes <= count; i += chains * lanes) {
    for (int j = 0; j < chains; ++j) most[j] = largest(load<Floats>(s + i + j * lanes), most[j]);
  }
  for (int j = 1; j < chains; ++j) most[0] = largest(most[j], most[0]);
  float m = largest_of(most[0]);
  for (; i < count; ++i) m = largest(s[i], m);
  return m + 0.0f;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
