// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/network.hpp"
#include "libvolt/device/device.hpp"

namespace volt::lm {

/// Extents in whole groups of 128, and how many groups.
constexpr std::uint64_t groups_of(std::uint64_t extent) {
  return (extent + kernels::group - 1) / kernels::group;
}
constexpr std::uint64_t padded(std::uint64_t extent) { return groups_of(extent) * kernels::group; }

/// A matrix of fp32 of its own.
struct Tensor {
  device::Buffer buffer;
  kernels::Matrix matrix;
};
Tensor make_tensor(device::Device& device, std::uint64_t rows, std::uint64_t cols);

kernels::Matrix columns(const kernels::Matrix& of, std::uint64_t first, std::uint64_t count);
kernels::Matrix rows_of(const kernels::Matrix& of, std::uint64_t first, std::uint64_t count);
kernels::Matrix first_rows(const kernels::Matrix& of, std::uint64_t count);

/// What the limbs of a parameter take at most; nothing where none are made.
struct LimbSizes {
  std::uint64_t elements = 0, scales = 0;
  std::uint64_t bytes() const { return 2 * elements + 4 * scales; }
};

/// Elements that a Room has place for.
struct RoomSize {
  std::uint64_t places[4] = {};
  std::uint64_t quants = 0;      ///< in whole groups
  LimbSizes limbs = {};          ///< of a parameter; rows then have as many low limbs as quants
  std::uint64_t halves[2] = {};  ///< of the two operands of a bf16 product
  std::uint64_t bytes() const;
};

/// Memory that each layer uses in turn.
class Room {
 public:
  Room(device::Device& device, const RoomSize& size);

  device::Device& device() { return device_; }
  void zero(const kernels::Matrix& x);
  /// A matrix in one of the places, of which whatever was there before is lost.
  kernels::Matrix place(int index, std::uint64_t rows, std::uint64_t cols) const;
  kernels::Matrix zeroed(int index, std::uint64_t rows, std::uint64_t cols);
  /// A matrix quantised along its rows or its columns; the memory is lost with the next.
  kernels::Quantised quantised(const kernels::Matrix& x);
  /// The same in two limbs: of rows, along them, and of a parameter along either. Each keeps its
  /// memory until the next of its kind.
  kernels::QuantisedLimbs limbs_of_rows(const kernels::Matrix& x);
  kernels::QuantisedLimbs limbs_of_parameter(const kernels::Matrix& x,
                                             kernels::Quantised::Axis axis);
  /// A matrix rounded to bf16, as one of the two operands of a product.
  kernels::Matrix halves(int index, const kernels::Matrix& x);

 private:
  kernels::QuantisedLimbs limbs(const kernels::Matrix& x, kernels::Quantised::Axis axis,
                                const device::Buffer& high, const device::Buffer& low,
                                const device::Buffer& scales);

  device::Device& device_;
  device::Buffer places_[4], quants_, scales_;
  device::Buffer low_;  ///< limbs of rows, of which quants_ has the high ones
  device::Buffer parameter_high_, parameter_low_, parameter_scales_;
  device::Buffer halves_[2];
};

}  // namespace volt::lm
