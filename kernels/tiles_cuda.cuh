// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"

/// How C is cut into the tiles of blocks. Changes no bit.
namespace volt::kernels {
inline namespace VOLT_ISA {

/// Tiles of m x n elements, taken in bands of up to 16 tile rows: blocks that run at the same time
/// then share rows of A and columns of B, which the L2 cache keeps.
class Tiling {
 public:
  Tiling(std::uint64_t rows, std::uint64_t cols, std::uint64_t tile_m, std::uint64_t tile_n)
      : tiles_m_((rows + tile_m - 1) / tile_m), tiles_n_((cols + tile_n - 1) / tile_n) {}

  /// As many blocks are launched; no more than 2^31 can be.
  std::uint64_t count() const { return tiles_m_ * tiles_n_; }

  struct Position {
    std::uint64_t m, n;  ///< in tiles
  };
  VOLT_DEVICE Position at(std::uint32_t block) const {
    // All of this is less than count() or 16 more: 32 bits, since GPUs divide 64 slowly.
    const auto tiles_m = static_cast<std::uint32_t>(tiles_m_);
    const auto tiles_n = static_cast<std::uint32_t>(tiles_n_);
    const std::uint32_t band = tiles_m < 16 ? tiles_m : 16;
    const std::uint32_t first = block / (band * tiles_n) * band;
    const std::uint32_t height = tiles_m - first < band ? tiles_m - first : band;
    const std::uint32_t rest = block - first * tiles_n;
    return {first + rest % height, rest / height};
  }

 private:
  std::uint64_t tiles_m_, tiles_n_;
};

/// What is left of `end` from `begin` on, which may lie beyond, and at most `most`.
VOLT_DEVICE int left_of(std::uint64_t end, std::uint64_t begin, int most) {
  if (begin >= end) return 0;
  return end - begin < static_cast<std::uint64_t>(most) ? static_cast<int>(end - begin) : most;
}

/// An estimate of time: multiprocessors work through all tiles in rounds, and a tile takes as long
/// as it is large. Smaller tiles read more for each multiply-add; `worth` is what is left of speed.
inline double rounds_cost(const Tiling& tiling, std::uint64_t tile_m, std::uint64_t tile_n,
                          double worth) {
  const std::uint64_t processors = multiprocessor_count() == 0 ? 1 : multiprocessor_count();
  const std::uint64_t rounds = (tiling.count() + processors - 1) / processors;
  return static_cast<double>(rounds) * static_cast<double>(tile_m * tile_n) / worth;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
