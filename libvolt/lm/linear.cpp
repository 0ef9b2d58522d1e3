// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/linear.hpp"

#include <algorithm>

#include "libvolt/lm/rotated.hpp"

namespace volt::lm {
namespace {

using kernels::Backend;
using kernels::Form;
using kernels::Given;
using kernels::Matrix;
using kernels::Network;
using kernels::Quantised;

std::uint64_t groups_of(std::uint64_t extent) {
  return (extent + kernels::group - 1) / kernels::group;
}
std::uint64_t padded(std::uint64_t extent) { return groups_of(extent) * kernels::group; }

void upload(device::Device& device, const device::Buffer& to, const void* host,
            std::uint64_t bytes) {
  device.call(&Backend::upload, to.get(), std::uint64_t{0}, host, bytes);
}

Tensor uploaded(device::Device& device, std::uint64_t rows, std::uint64_t cols,
                std::span<const float> values) {
  Tensor tensor = make_tensor(device, rows, cols);
  upload(device, tensor.buffer, values.data(), values.size_bytes());
  return tensor;
}

}  // namespace

Tensor make_tensor(device::Device& device, std::uint64_t rows, std::uint64_t cols) {
  Tensor tensor{device.create(4 * rows * cols), {}};
  tensor.matrix = {tensor.buffer.get(), 0, rows, cols, cols};
  return tensor;
}

Matrix columns(const Matrix& of, std::uint64_t first, std::uint64_t count) {
  return {of.buffer, of.offset + first, of.rows, count, of.stride};
}

Matrix first_rows(const Matrix& of, std::uint64_t count) {
  return {of.buffer, of.offset, count, of.cols, of.stride};
}

Room::Room(device::Device& device, std::uint64_t rows, std::uint64_t cols) : device_(device) {
  const std::uint64_t elements = rows * padded(cols);
  zeros_ = device.create(4 * elements);
  for (auto& place : places_) place = device.create(4 * elements);
  quants_ = device.create(elements);
  scales_ = device.create(4 * rows * groups_of(cols));
}

void Room::zero(const Matrix& dense) {
  device_.call(&Backend::copy, static_cast<const kernels::Buffer*>(zeros_.get()), std::uint64_t{0},
               dense.buffer, 4 * dense.offset, 4 * dense.rows * dense.cols);
}

Matrix Room::zeroed(int index, std::uint64_t rows, std::uint64_t cols) {
  const Matrix matrix = {places_[index].get(), 0, rows, cols, cols};
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

Linear::Linear(device::Device& device, const Base& base, std::span<const float> weight,
               std::span<const float> bias, Trained& trained, Profile profile, float scale,
               std::uint64_t most_rows)
    : base_(base), scale_(scale) {
  using Role = TrainedTensor::Role;
  if (const auto* tensor = trained.find(base.slot, Role::whole)) {
    w_ = trained.value(*tensor);
    dw_ = trained.gradient(*tensor);
  } else if (profile == Profile::i8x) {
    store_rotated(device, weight);
  } else {
    weight_ = uploaded(device, base.conv1d ? base.in : base.out, base.conv1d ? base.out : base.in,
                       weight);
    w_ = weight_.matrix;
  }
  if (base.has_bias) {
    Slot slot = base.slot;
    slot.bias = true;
    if (const auto* tensor = trained.find(slot, Role::whole)) {
      b_ = trained.value(*tensor);
      db_ = trained.gradient(*tensor);
    } else {
      bias_ = uploaded(device, 1, base.out, bias);
      b_ = bias_.matrix;
    }
  }
  const auto* b = trained.find(base.slot, Role::lora_b);
  if (b == nullptr) return;
  lora_b_ = trained.value(*b);
  dlora_b_ = trained.gradient(*b);
  h_ = make_tensor(device, most_rows, lora_b_.cols);
  if (const auto* a = trained.find(base.slot, Role::lora_a)) {
    lora_a_ = trained.value(*a);
    dlora_a_ = trained.gradient(*a);
    return;
  }
  const TrainedTensor& d = *trained.find(base.slot, Role::fly_d);
  lora_a_ = trained.value(*trained.find(base.slot, Role::fly_a));
  fly_d_ = trained.value(d);
  fly_counts_ = trained.counts(d);
  active_ = trained.fly()->active;
  all_h_ = make_tensor(device, most_rows, lora_b_.cols);
}

void Linear::store_rotated(device::Device& device, std::span<const float> weight) {
  const RotatedBlocks blocks = rotated_blocks(weight, base_.out, base_.in, base_.conv1d);
  const std::uint64_t out = padded(base_.out), in = padded(base_.in);
  Rotated& r = rotated_.emplace();
  r.quants = device.create(out * in);
  upload(device, r.quants, blocks.quants.data(), blocks.quants.size());
  // The scales of blocks, once for each row and once for each column: a thirty-second of the int8.
  std::vector<float> by_in(out * groups_of(in)), by_out(groups_of(out) * in);
  for (std::uint64_t i = 0; i < out; ++i) {
    for (std::uint64_t g = 0; g < groups_of(in); ++g) {
      by_in[i * groups_of(in) + g] = blocks.scales[i / kernels::group * groups_of(in) + g];
    }
  }
  for (std::uint64_t g = 0; g < groups_of(out); ++g) {
    for (std::uint64_t j = 0; j < in; ++j) {
      by_out[g * in + j] = blocks.scales[g * groups_of(in) + j / kernels::group];
    }
  }
  r.by_in = device.create(4 * by_in.size());
  upload(device, r.by_in, by_in.data(), 4 * by_in.size());
  r.by_out = device.create(4 * by_out.size());
  upload(device, r.by_out, by_out.data(), 4 * by_out.size());
  const Matrix q = {r.quants.get(), 0, out, in, in};
  r.forward = {q, {r.by_in.get(), 0, out, groups_of(in), groups_of(in)}, Quantised::along_cols};
  r.backward = {q, {r.by_out.get(), 0, groups_of(out), in, in}, Quantised::along_rows};
}

Matrix Linear::dropped(Room& room, const Matrix& x, int place) {
  if (dropout_.p == 0) return x;
  const Matrix kept = room.zeroed(place, x.rows, x.cols);
  room.device().call(&Network::dropout,
                     kernels::Dropout<Given>{x, kept, dropout_.p, dropout_.seed,
                                             dropout_.row * x.cols, base_.stream});
  return kept;
}

void Linear::route(Room& room, const Matrix& of, const Matrix& out, const Matrix& counts) {
  room.device().call(&Network::keep_largest,
                     kernels::KeepLargest<Given>{first_rows(all_h_.matrix, of.rows), fly_d_,
                                                 active_, of, out, counts});
}

void Linear::forward(Room& room, const Matrix& x, const Matrix& y, const DropoutPlace& dropout) {
  device::Device& device = room.device();
  dropout_ = dropout;
  const std::uint64_t rows = x.rows;
  if (rotated_) {
    const Matrix turned = room.zeroed(0, rows, padded(base_.in));
    device.call(&Network::rotate, kernels::Rotate<Given>{x, turned, 1.0F});
    const Matrix product = room.zeroed(1, rows, padded(base_.out));
    device.call(&Backend::matmul_i8x, Form::abt, room.quantised(turned), rotated_->forward,
                product);
    device.call(&Network::rotate, kernels::Rotate<Given>{product, y, 1.0F});
  } else {
    device.call(&Backend::matmul_f32x, base_.conv1d ? Form::ab : Form::abt, x, w_, y);
  }
  if (lora_a_.buffer != nullptr) {
    const Matrix h = first_rows(h_.matrix, rows);
    const Matrix all = active_ != 0 ? first_rows(all_h_.matrix, rows) : h;
    room.zero(all);
    device.call(&Backend::matmul_f32x, Form::abt, dropped(room, x, 2), lora_a_, all);
    if (active_ != 0) route(room, all, h, fly_counts_);
    device.call(&Network::scale, kernels::Scale<Given>{h, scale_});
    device.call(&Backend::matmul_f32x, Form::abt, h, lora_b_, y);
  }
  if (b_.buffer != nullptr) device.call(&Network::add, kernels::Add<Given>{b_, y});
}

void Linear::backward(Room& room, const Matrix& x, const Matrix& dy, const Matrix& dx) {
  device::Device& device = room.device();
  const std::uint64_t rows = x.rows;
  if (rotated_) {
    const Matrix turned = room.zeroed(0, rows, padded(base_.out));
    device.call(&Network::rotate, kernels::Rotate<Given>{dy, turned, 1.0F});
    const Matrix product = room.zeroed(1, rows, padded(base_.in));
    device.call(&Backend::matmul_i8x, Form::ab, room.quantised(turned), rotated_->backward,
                product);
    const Matrix back = room.zeroed(0, rows, base_.in);
    device.call(&Network::rotate, kernels::Rotate<Given>{product, back, 1.0F});
    device.call(&Network::add, kernels::Add<Given>{back, dx});
  } else {
    device.call(&Backend::matmul_f32x, base_.conv1d ? Form::abt : Form::ab, dy, w_, dx);
  }
  if (dw_.buffer != nullptr) {
    const bool turned = base_.conv1d;
    device.call(&Backend::matmul_f32x, Form::atb, turned ? x : dy, turned ? dy : x, dw_);
  }
  if (db_.buffer != nullptr) device.call(&Network::sum_rows, kernels::SumRows<Given>{dy, db_});
  if (lora_a_.buffer == nullptr) return;
  const Matrix h = first_rows(h_.matrix, rows);
  Matrix dh = room.zeroed(0, rows, lora_a_.rows);
  device.call(&Backend::matmul_f32x, Form::ab, dy, lora_b_, dh);
  if (active_ != 0) {
    const Matrix routed = room.zeroed(3, rows, lora_a_.rows);
    route(room, dh, routed, {});
    dh = routed;
  }
  device.call(&Network::scale, kernels::Scale<Given>{dh, scale_});
  device.call(&Backend::matmul_f32x, Form::atb, dy, h, dlora_b_);
  if (dlora_a_.buffer != nullptr) {
    device.call(&Backend::matmul_f32x, Form::atb, dh, dropped(room, x, 2), dlora_a_);
  }
  if (dropout_.p == 0) {
    device.call(&Backend::matmul_f32x, Form::ab, dh, lora_a_, dx);
    return;
  }
  const Matrix through = room.zeroed(1, rows, base_.in);
  device.call(&Backend::matmul_f32x, Form::ab, dh, lora_a_, through);
  device.call(&Network::add, kernels::Add<Given>{dropped(room, through, 2), dx});
}

}  // namespace volt::lm
