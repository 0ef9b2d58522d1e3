// SPDX-License-Identifier: Apache-2.0

// Diagonals of products, compiled once per instruction set (VOLT_ISA): many short chains side by
// side. No function template or inline function of the standard library may be used here: the
// linker could pick this file's copy for all others.

#include "diagonal_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr int vectors = 8;  // enough chains to hide the latency of one
constexpr std::uint64_t width = vectors * lanes;
constexpr std::uint64_t piece = 64;  // steps along k: both operands' fit the first-level cache

static Side from_k(const Side& side, std::uint64_t k, std::uint64_t element_bytes) {
  const std::uint64_t elements = side.k_contiguous ? k : k * side.stride;
  return {static_cast<const char*>(side.data) + elements * element_bytes, side.stride,
          side.k_contiguous};
}

static Side from_lane(const Side& side, std::uint64_t lane, std::uint64_t element_bytes) {
  const Side across = {side.data, side.stride, !side.k_contiguous};
  Side result = from_k(across, lane, element_bytes);
  result.k_contiguous = side.k_contiguous;
  return result;
}

void diagonal_f32(const Side& a, const Side& b, std::uint64_t count, std::uint64_t k, float* c,
                  std::uint64_t stride) {
  alignas(64) float x[width * piece], y[width * piece];
  for (std::uint64_t first = 0; first < count; first += width) {
    const std::uint64_t these = least(width, count - first);
    const Side lanes_a = from_lane(a, first, sizeof *c), lanes_b = from_lane(b, first, sizeof *c);
    alignas(64) float chains[width] = {};
    for (std::uint64_t i = 0; i < these; ++i) chains[i] = c[(first + i) * stride];
    Floats sum[vectors];
    for (int v = 0; v < vectors; ++v) sum[v] = load<Floats>(chains + v * lanes);
    for (std::uint64_t p = 0; p < k; p += piece) {
      const std::uint64_t steps = least(piece, k - p);
      pack_f32(x, from_k(lanes_a, p, sizeof *c), these, width, steps);
      pack_f32(y, from_k(lanes_b, p, sizeof *c), these, width, steps);
      for (std::uint64_t at = 0; at < steps * width; at += width) {
        for (int v = 0; v < vectors; ++v) {
          sum[v] =
              fused(load<Floats>(x + at + v * lanes), load<Floats>(y + at + v * lanes), sum[v]);
        }
      }
    }
    for (int v = 0; v < vectors; ++v) store(chains + v * lanes, canonical(sum[v]));
    for (std::uint64_t i = 0; i < these; ++i) c[(first + i) * stride] = chains[i];
  }
}

void diagonal_i8(const Side& a, const Side& b, std::uint64_t count, std::uint64_t k,
                 std::int32_t* c, std::uint64_t stride) {
  alignas(64) std::uint32_t x[width * piece], y[width * piece];
  for (std::uint64_t first = 0; first < count; first += width) {
    const std::uint64_t these = least(width, count - first);
    const Side lanes_a = from_lane(a, first, 1), lanes_b = from_lane(b, first, 1);
    Words sum[vectors] = {};
    for (std::uint64_t p = 0; p < k; p += piece * unit) {
      const std::uint64_t steps = least(piece * unit, k - p);
      pack_i8(x, from_k(lanes_a, p, 1), these, width, steps, bias);
      pack_i8(y, from_k(lanes_b, p, 1), these, width, steps, 0);
      const std::uint64_t words = (steps + unit - 1) / unit;
      for (std::uint64_t at = 0; at < words * width; at += width) {
        for (int v = 0; v < vectors; ++v) {
          const Words z = load<Words>(y + at + v * lanes);
          sum[v] = dot(sum[v], load<Words>(x + at + v * lanes), z);
          if (bias != 0) sum[v] = sum[v] - dot(Words{}, spread(bias), z);
        }
      }
    }
    alignas(64) std::uint32_t sums[width];
    for (int v = 0; v < vectors; ++v) store(sums + v * lanes, sum[v]);
    for (std::uint64_t i = 0; i < these; ++i) {
      std::int32_t& element = c[(first + i) * stride];
      element = static_cast<std::int32_t>(static_cast<std::uint32_t>(element) + sums[i]);
    }
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
