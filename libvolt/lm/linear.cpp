// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/linear.hpp"

#include <algorithm>

namespace volt::lm {

using kernels::Backend;
using kernels::Form;
using kernels::Given;
using kernels::Matrix;
using kernels::Network;
using kernels::Quantised;

LimbSizes limb_sizes(Profile profile, std::span<const TrainedTensor> trained) {
  LimbSizes sizes;
  if (profile != Profile::i8x2) return sizes;
  for (const auto& tensor : trained) {
    sizes.elements = std::max(sizes.elements, tensor.elements());
    sizes.scales = std::max(
        {sizes.scales, tensor.rows * groups_of(tensor.cols), groups_of(tensor.rows) * tensor.cols});
  }
  return sizes;
}

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

void Linear::over_features(Room& room, Form form, const Matrix& x, const Matrix& parameter,
                           const Matrix& y) {
  device::Device& device = room.device();
  if (base_.profile == Profile::native) {
    device.call(&Backend::matmul_bf16, form, room.halves(0, x), room.halves(1, parameter), y);
  } else if (base_.profile == Profile::i8x2) {
    const auto axis = form == Form::ab ? Quantised::along_rows : Quantised::along_cols;
    const auto rows = room.limbs_of_rows(x), limbs = room.limbs_of_parameter(parameter, axis);
    device.call(&Backend::matmul_i8x2, form, rows, limbs, y);
  } else {
    device.call(&Backend::matmul_f32x, form, x, parameter, y);
  }
}

void Linear::over_rows(Room& room, const Matrix& x, const Matrix& y, const Matrix& gradient) {
  device::Device& device = room.device();
  if (base_.profile == Profile::native) {
    device.call(&Backend::matmul_bf16, Form::atb, room.halves(0, x), room.halves(1, y), gradient);
  } else {
    device.call(&Backend::matmul_f32x, Form::atb, x, y, gradient);
  }
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
  over_features(room, Form::abt, dropped(room, x, 2), lora_a_, all);
  if (active_ != 0) route(room, all, h, fly_counts_);
  room.device().call(&Network::scale, kernels::Scale<Given>{h, scale_});
}

void Linear::forward_again(Room& room, const Matrix& x, const Matrix& y) {
  device::Device& device = room.device();
  if (frozen_ != nullptr) {
    frozen_->multiply(room, x, y);
  } else {
    room.zero(y);
    over_features(room, base_.conv1d ? Form::ab : Form::abt, x, w_, y);
  }
  if (lora_b_.buffer != nullptr) {
    over_features(room, Form::abt, first_rows(h_.matrix, x.rows), lora_b_, y);
  }
  if (b_.buffer != nullptr) device.call(&Network::add, kernels::Add<Given>{b_, y});
}

void Linear::backward(Room& room, const Matrix& x, const Matrix& dy, const Matrix& dx) {
  device::Device& device = room.device();
  const std::uint64_t rows = x.rows;
  if (frozen_ != nullptr) {
    frozen_->multiply_back(room, dy, dx);
  } else {
    over_features(room, base_.conv1d ? Form::abt : Form::ab, dy, w_, dx);
  }
  if (dw_.buffer != nullptr) {
    const bool turned = base_.conv1d;
    over_rows(room, turned ? x : dy, turned ? dy : x, dw_);
  }
  if (db_.buffer != nullptr) device.call(&Network::sum_rows, kernels::SumRows<Given>{dy, db_});
  if (lora_a_.buffer == nullptr) return;
  const Matrix h = first_rows(h_.matrix, rows);
  Matrix dh = room.zeroed(0, rows, lora_a_.rows);
  over_features(room, Form::ab, dy, lora_b_, dh);
  if (active_ != 0) {
    const Matrix routed = room.place(3, rows, lora_a_.rows);
    route(room, dh, routed, {});
    dh = routed;
  }
  device.call(&Network::scale, kernels::Scale<Given>{dh, scale_});
  over_rows(room, dy, h, dlora_b_);
  if (dlora_a_.buffer != nullptr) {
    over_rows(room, dh, dropped(room, x, 2), dlora_a_);
  }
  if (dropout_.p == 0) {
    over_features(room, Form::ab, dh, lora_a_, dx);
    return;
  }
  const Matrix through = room.zeroed(1, rows, base_.in);
  over_features(room, Form::ab, dh, lora_a_, through);
  device.call(&Network::add, kernels::Add<Given>{dropped(room, through, 2), dx});
}

}  // namespace volt::lm
