// SPDX-License-Identifier: Apache-2.0

#include "pack_i8_cuda.hpp"

#include "device_cuda.cuh"
#include "tiles_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

/// A block turns 32 lanes x 128 k: threads read bytes of neighbouring lanes, make a word of four k,
/// and write neighbouring words of a row after an exchange through shared memory.
struct PackTurned {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr int words = 32, warps = threads / 32;
  struct Shared {
    std::uint32_t word[32][words + 1];
  };

  VOLT_DEVICE void operator()(Shared& shared) const {
    const Tiling::Position tile = tiling.at(block_index());
    const int in_warp = static_cast<int>(thread_index()) % 32;
    const int warp = static_cast<int>(thread_index()) / 32;
    const std::uint64_t lane = tile.m * 32 + in_warp, first_k = tile.n * 4 * words;
    VOLT_UNROLL
    for (int w = warp; w < words; w += warps) {
      std::uint32_t word = 0;
      VOLT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::uint64_t p = first_k + 4 * w + i;
        if (lane < lanes && p < k) word |= std::uint32_t{from[p * stride + lane]} << (8 * i);
      }
      shared.word[in_warp][w] = word;
    }
    sync_block();
    const std::uint64_t p = first_k + 4 * in_warp;
    VOLT_UNROLL
    for (int row = warp; row < 32; row += warps) {
      const std::uint64_t l = tile.m * 32 + row;
      if (l < lanes && p < k) to[l * stride_to + p / 4] = shared.word[row][in_warp];
    }
  }

  const std::uint8_t* from;
  std::uint64_t stride, lanes, k;
  std::uint32_t* to;
  std::uint64_t stride_to;  // in words
  Tiling tiling;
};

/// A word a thread, for rows that begin anywhere.
struct PackRows {
  static constexpr unsigned threads = 256, resident = 4;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const Tiling::Position tile = tiling.at(block_index());
    const std::uint64_t lane = tile.m, p = (tile.n * threads + thread_index()) * 4;
    std::uint32_t word = 0;
    VOLT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (p + i < k) word |= std::uint32_t{from[lane * stride + p + i]} << (8 * i);
    }
    if (p < k) to[lane * stride_to + p / 4] = word;
  }

  const std::uint8_t* from;
  std::uint64_t stride, k;
  std::uint32_t* to;
  std::uint64_t stride_to;  // in words
  Tiling tiling;
};

}  // namespace

Panels::Panels(const View<const std::int8_t>& operand, bool k_is_rows)
    : operand_(operand),
      k_is_rows_(k_is_rows),
      packed_(k_is_rows || reinterpret_cast<std::uintptr_t>(operand.data) % 16 != 0 ||
              (operand.rows > 1 && (operand.stride % 16 != 0 || operand.stride > max_packed_k))),
      lanes_(k_is_rows ? operand.cols : operand.rows),
      k_(k_is_rows ? operand.rows : operand.cols),
      each_(lanes_) {
  if (k_ == 0) packed_ = false;
}

std::uint64_t Panels::take(std::byte* at, std::uint64_t rows) {
  if (!packed_) return 0;
  constexpr std::uint64_t whole_tiles = 256;
  if (rows < lanes_) each_ = rows < whole_tiles ? rows : rows / whole_tiles * whole_tiles;
  scratch_ = reinterpret_cast<std::int8_t*>(at);
  return each_;
}

PackedOperand Panels::panel(std::uint64_t first) const {
  const std::uint64_t lanes = lanes_ - first < each_ ? lanes_ - first : each_;
  if (packed_) return {scratch_, lanes, row_bytes()};
  return {operand_.data + first * operand_.stride, lanes, operand_.stride};
}

Status Panels::pack(CudaStream stream, std::uint64_t first) const {
  if (!packed_) return {};
  const std::uint64_t lanes = panel(first).lanes, words = row_bytes() / 4;
  const auto* from = reinterpret_cast<const std::uint8_t*>(operand_.data);
  auto* to = reinterpret_cast<std::uint32_t*>(scratch_);
  if (k_is_rows_) {
    const Tiling tiling(lanes, k_, 32, 4 * PackTurned::words);
    return launch(stream, tiling.count(),
                  PackTurned{from + first, operand_.stride, lanes, k_, to, words, tiling});
  }
  const Tiling tiling(lanes, k_, 1, 4 * PackRows::threads);
  return launch(stream, tiling.count(),
                PackRows{from + first * operand_.stride, operand_.stride, k_, to, words, tiling});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
