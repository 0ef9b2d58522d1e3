// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules.

#include "probabilities_cpu.hpp"

#include "softmax_cpu.hpp"
#include "sum_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// Whether one of 128 elements has the value: without a way out before the end, as vectors want it.
static bool is_among(float value, const float* x) {
  Ints found = {};
  for (int i = 0; i < sum_lanes; i += lanes) found |= (Ints)(load<Floats>(x + i) == spread(value));
  std::int32_t any = 0;
  for (int i = 0; i < lanes; ++i) any |= found[i];
  return any != 0;
}

std::uint32_t likeliest(const float* logits, std::uint64_t n) {
  const float most = largest_of(logits, n);
  std::uint64_t i = 0;
  while (i + sum_lanes <= n && !is_among(most, logits + i)) i += sum_lanes;
  while (i < n && logits[i] != most) ++i;
  return i < n ? static_cast<std::uint32_t>(i) : no_token;
}

// e of a vector of logits; of a NaN +0.
VOLT_VECTOR Floats weight(Floats logits, float temperature, float m) {
  const Floats e = exp(logits / spread(temperature) - spread(m));
  return (Floats)((Ints)e & (Ints)(logits == logits));
}

void probabilities(const float* logits, std::uint64_t n, float temperature, float m, float* p) {
  alignas(64) float sum[sum_lanes];
  clear(sum);
  std::uint64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Floats e = weight(load<Floats>(logits + i), temperature, m);
    float* const to = sum + i % sum_lanes;
    store(p + i, e);
    store(to, load<Floats>(to) + e);
  }
  for (; i < n; ++i) {
    p[i] = logits[i] == logits[i] ? exp(logits[i] / temperature - m) : 0.0f;
    sum[i % sum_lanes] += p[i];
  }
  const float inverse = 1.0f / folded(sum);
  for (std::uint64_t j = 0; j < n; ++j) p[j] = p[j] * inverse;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
