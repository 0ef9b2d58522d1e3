// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace volt::lm {

/// A frozen matrix as i8x has it (numerics contract, section 4).
struct RotatedBlocks {
  std::vector<std::int8_t> quants;  ///< [out, in], each padded to groups of 128
  std::vector<float> scales;        ///< [groups of out, groups of in]
};

/// Of W [out, in], or of one stored as [in, out]: 2^-14 (H (W H)), H the unnormalised butterflies
/// of each group of 128 (kernels::Rotate), along `in` first; then int8 with the scale of the
/// largest element of each block of 128 x 128, as kernels quantise a group.
RotatedBlocks rotated_blocks(std::span<const float> weight, std::uint64_t out, std::uint64_t in,
                             bool conv1d);

}  // namespace volt::lm
