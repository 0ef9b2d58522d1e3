// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/room.hpp"

namespace volt::lm {

using kernels::Backend;
using kernels::Matrix;
using kernels::Quantised;
using kernels::QuantisedLimbs;

Tensor make_tensor(device::Device& device, std::uint64_t rows, std::uint64_t cols) {
  Tensor tensor{device.create(4 * rows * cols), {}};
  tensor.matrix = {tensor.buffer.get(), 0, rows, cols, cols};
  return tensor;
}

Matrix columns(const Matrix& of, std::uint64_t first, std::uint64_t count) {
  return {of.buffer, of.offset + first, of.rows, count, of.stride};
}

Matrix rows_of(const Matrix& of, std::uint64_t first, std::uint64_t count) {
  return {of.buffer, of.offset + first * of.stride, count, of.cols, of.stride};
}

Matrix first_rows(const Matrix& of, std::uint64_t count) { return rows_of(of, 0, count); }

std::uint64_t RoomSize::bytes() const {
  std::uint64_t elements = quants / kernels::group;
  for (const auto place : places) elements += place;
  return 4 * elements + quants + (limbs.elements != 0 ? quants + limbs.bytes() : 0) +
         2 * (halves[0] + halves[1]);
}

Room::Room(device::Device& device, const RoomSize& size) : device_(device) {
  for (std::size_t i = 0; i < std::size(places_); ++i)
    places_[i] = device.create(4 * size.places[i]);
  for (std::size_t i = 0; i < std::size(halves_); ++i)
    halves_[i] = device.create(2 * size.halves[i]);
  quants_ = device.create(size.quants);
  scales_ = device.create(4 * (size.quants / kernels::group));
  if (size.limbs.elements == 0) return;
  low_ = device.create(size.quants);
  for (auto* limb : {&parameter_high_, &parameter_low_}) *limb = device.create(size.limbs.elements);
  parameter_scales_ = device.create(4 * size.limbs.scales);
}

void Room::zero(const Matrix& x) {
  device_.call(&kernels::Network::zero, kernels::Zero<kernels::Given>{x});
}

Matrix Room::place(int index, std::uint64_t rows, std::uint64_t cols) const {
  return {places_[index].get(), 0, rows, cols, cols};
}

Matrix Room::zeroed(int index, std::uint64_t rows, std::uint64_t cols) {
  const Matrix matrix = place(index, rows, cols);
  zero(matrix);
  return matrix;
}

Quantised Room::quantised(const Matrix& x) {
  const std::uint64_t groups = groups_of(x.cols);
  const Quantised out = {{quants_.get(), 0, x.rows, x.cols, x.cols},
                         {scales_.get(), 0, x.rows, groups, groups},
                         Quantised::along_cols};
  device_.call(&Backend::quantise, x, out);
  return out;
}

Matrix Room::halves(int index, const Matrix& x) {
  const Matrix out = {halves_[index].get(), 0, x.rows, x.cols, x.cols};
  device_.call(&kernels::Network::narrow, kernels::Narrow<kernels::Given>{x, out});
  return out;
}

QuantisedLimbs Room::limbs_of_rows(const Matrix& x) {
  return limbs(x, Quantised::along_cols, quants_, low_, scales_);
}

QuantisedLimbs Room::limbs_of_parameter(const Matrix& x, Quantised::Axis axis) {
  return limbs(x, axis, parameter_high_, parameter_low_, parameter_scales_);
}

QuantisedLimbs Room::limbs(const Matrix& x, Quantised::Axis axis, const device::Buffer& high,
                           const device::Buffer& low, const device::Buffer& scales) {
  const bool rows = axis == Quantised::along_cols;
  const std::uint64_t across = rows ? groups_of(x.cols) : x.cols;
  const QuantisedLimbs out = {{high.get(), 0, x.rows, x.cols, x.cols},
                              {low.get(), 0, x.rows, x.cols, x.cols},
                              {scales.get(), 0, rows ? x.rows : groups_of(x.rows), across, across},
                              axis};
  device_.call(&Backend::quantise_limbs, x, out);
  return out;
}

}  // namespace volt::lm
