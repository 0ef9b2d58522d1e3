// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/linear.hpp"

namespace volt::lm {

using kernels::Backend;
using kernels::Form;
using kernels::Given;
using kernels::Matrix;
using kernels::Network;

Linear::Linear(device::Device& device, const Base& base, std::shared_ptr<const FrozenMatrix> weight,
               std::span<const float> bias, Trained& trained, float scale, std::uint64_t most_rows)
    : base_(base), scale_(scale), frozen_(std::move(weight)) {
  using Role = TrainedTensor::Role;
  if (const auto* tensor = trained.find(base.slot, Role::whole)) {
    w_ = trained.value(*tensor);
    dw_ = trained.gradient(*tensor);
  }
  if (base.has_bias) {
    Slot slot = base.slot;
    slot.bias = true;
    if (const auto* tensor = trained.find(slot, Role::whole)) {
      b_ = trained.value(*tensor);
      db_ = trained.gradient(*tensor);
    } else {
      bias_ = make_tensor(device, 1, base.out);
      device.call(&Backend::upload, bias_.buffer.get(), std::uint64_t{0}, bias.data(),
                  std::uint64_t{bias.size_bytes()});
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

Matrix Linear::dropped(Room& room, const Matrix& x, int place) {
  if (dropout_.p == 0) return x;
  const Matrix kept = room.place(place, x.rows, x.cols);
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
  dropout_ = dropout;
  if (lora_a_.buffer != nullptr) adapt(room, x);
  forward_again(room, x, y);
}

void Linear::adapt(Room& room, const Matrix& x) {
  const Matrix h = first_rows(h_.matrix, x.rows);
  const Matrix all = active_ != 0 ? first_rows(all_h_.matrix, x.rows) : h;
  room.zero(all);
  room.device().call(&Backend::matmul_f32x, Form::abt, dropped(room, x, 2), lora_a_, all);
  if (active_ != 0) route(room, all, h, fly_counts_);
  room.device().call(&Network::scale, kernels::Scale<Given>{h, scale_});
}

void Linear::forward_again(Room& room, const Matrix& x, const Matrix& y) {
  device::Device& device = room.device();
  if (frozen_ != nullptr) {
    frozen_->multiply(room, x, y);
  } else {
    room.zero(y);
    device.call(&Backend::matmul_f32x, base_.conv1d ? Form::ab : Form::abt, x, w_, y);
  }
  if (lora_b_.buffer != nullptr) {
    device.call(&Backend::matmul_f32x, Form::abt, first_rows(h_.matrix, x.rows), lora_b_, y);
  }
  if (b_.buffer != nullptr) device.call(&Network::add, kernels::Add<Given>{b_, y});
}

void Linear::backward(Room& room, const Matrix& x, const Matrix& dy, const Matrix& dx) {
  device::Device& device = room.device();
  const std::uint64_t rows = x.rows;
  if (frozen_ != nullptr) {
    frozen_->multiply_back(room, dy, dx);
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
    const Matrix routed = room.place(3, rows, lora_a_.rows);
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
