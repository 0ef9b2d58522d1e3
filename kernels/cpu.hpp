// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "host.hpp"

/// What the parts of the fast CPU backend share.
namespace volt::kernels {

constexpr std::uint64_t worth_sharing = 1 << 16;  // elements, or steps of 8 multiplications

constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

/// Calls work(first, count) for pieces of `count` elements.
template <class Work>
void in_pieces(Context& context, std::uint64_t count, std::uint64_t piece, bool shared, Work work) {
  context.pool.each(ceil_div(count, piece), shared,
                    [&](std::uint64_t i) { work(i * piece, std::min(piece, count - i * piece)); });
}

// The rows of Engine with the same names.
bool cpu_f32x(Context& context, const Product<float, float>& job);
bool cpu_i8(Context& context, const Product<std::int8_t, std::int32_t>& job);
bool cpu_i8x(Context& context, const QuantisedProduct& job);
bool cpu_i8x2(Context& context, const LimbsProduct& job);
bool cpu_bf16(Context& context, const Product<std::uint16_t, float>& job);

}  // namespace volt::kernels
