// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "libvolt/lm/folder.hpp"

namespace volt::lm {

/// A matrix in NF4 with double quantisation (Dettmers et al. 2023, arXiv 2305.14314, section 3), as
/// kernels::ExpandNf4 reads it: 4.127 bits an element.
struct Nf4 {
  std::vector<std::uint8_t> nibbles;  ///< two elements a byte, the even one in the high half
  std::vector<std::uint8_t> codes;    ///< of each block of 64 elements, its largest magnitude
  std::vector<float> scales;          ///< of each 256 codes
  float offset = 0;                   ///< the mean of the largest magnitudes

  static std::uint64_t bytes(std::uint64_t elements);  ///< of all that a device keeps
};

/// Of the elements row after row as they are stored, which are read from the file 64 at a time:
///   a       = max |x| of a block of 64, of which the last may be short
///   nibble  : how many of the midpoints (v[i] + v[i + 1]) / 2 of NF4's values are below
///             clamp(x * (1 / max(a, 1e-38)), -1, 1); it is 7, which is 0, for the zero
///   offset  = sum128(a) / number of blocks (numerics contract, section 3)
///   scale   = max |a - offset| of 256 blocks, of which the last may be fewer
///   code    : the entry of kernels' dynamic_value() nearest to (a - offset) / scale, of two as
///   near
///             the lower one; 0 where the scale is 0
/// These are the bits of bitsandbytes but for `offset`, whose order of summation it leaves to
/// PyTorch and the device: sum128's relative error is at most (blocks / 128 + 8) * 2^-24.
/// Elements must be finite. Throws Error (usage) naming the weight if `offset` is not.
Nf4 quantise_nf4(const Weight& weight);

}  // namespace volt::lm
