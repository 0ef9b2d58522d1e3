// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"

/// How C is cut into the tiles of blocks. Changes no bit.
namespace volt::kernels {
inline namespace VOLT_ISA {

/// Tiles of m x n elements over C, in bands of `band` tile rows: blocks that run at the same time
/// then share rows of A and columns of B, which the L2 cache keeps.
struct Tiling {
  static constexpr std::uint64_t band = 16;

  Tiling(std::uint64_t rows, std::uint64_t cols, std::uint64_t tile_m, std::uint64_t tile_n)
      : tiles_m((rows + tile_m - 1) / tile_m), tiles_n((cols + tile_n - 1) / tile_n) {}

  std::uint64_t count() const { return tiles_m * tiles_n; }

  struct Position {
    std::uint64_t m, n;  // in tiles
  };
  VOLT_DEVICE Position at(std::uint64_t index) const {
    const std::uint64_t first = index / (band * tiles_n) * band;
    const std::uint64_t height = tiles_m - first < band ? tiles_m - first : band;
    const std::uint64_t rest = index - first * tiles_n;
    return {first + rest % height, rest / height};
  }

  std::uint64_t tiles_m, tiles_n;
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
