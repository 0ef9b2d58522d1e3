// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/sparse_projection.hpp"

#include <algorithm>
#include <utility>

#include "kernels/exact.hpp"

namespace volt::lm {
namespace {

float normal(std::uint32_t radius, std::uint32_t turn) {
  const float u = static_cast<float>(2 * (radius >> 9) + 1) * 0x1p-24F;
  return kernels::square_root(-2.0F * kernels::log(u)) *
         kernels::cos_turns(std::uint64_t{turn} << 32);
}

}  // namespace

std::uint64_t nonzeros_of(std::uint64_t rank, std::uint64_t in, std::uint64_t active) {
  return std::max<std::uint64_t>(1, (2 * in * active + rank) / (2 * rank));
}

std::vector<float> sparse_projection(std::uint64_t rank, std::uint64_t in, std::uint64_t nonzeros,
                                     std::uint64_t seed, std::uint32_t stream) {
  std::vector<float> a(rank * in);
  std::vector<std::pair<std::uint32_t, std::uint64_t>> lots(in);
  for (std::uint64_t row = 0; row < rank; ++row) {
    for (std::uint64_t j = 0; j < in; ++j) {
      lots[j] = {kernels::random_block(seed, stream, row * in + j).word[0], j};
    }
    const auto drawn = lots.begin() + static_cast<std::ptrdiff_t>(nonzeros);
    std::nth_element(lots.begin(), drawn, lots.end());
    for (auto lot = lots.begin(); lot != drawn; ++lot) {
      const std::uint64_t e = row * in + lot->second;
      const auto block = kernels::random_block(seed, stream, e);
      a[e] = normal(block.word[1], block.word[2]) / static_cast<float>(rank);
    }
  }
  return a;
}

}  // namespace volt::lm
