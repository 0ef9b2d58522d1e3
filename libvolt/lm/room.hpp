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

/// Elements that a Room has place for.
struct RoomSize {
  std::uint64_t places[4] = {};
  std::uint64_t quants = 0;  ///< in whole groups
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

 private:
  device::Device& device_;
  device::Buffer places_[4], quants_, scales_;
};

}  // namespace volt::lm
