// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/trained.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/sparse_projection.hpp"

namespace volt::lm {
namespace {

using kernels::Backend;
using kernels::Given;
using kernels::Network;

bool is_matrix(const Parameter& parameter) { return parameter.shape.size() == 2; }

}  // namespace

Trained::Trained(device::Device& device, std::vector<TrainedTensor> tensors,
                 const std::optional<FlyLora>& fly, Use use)
    : device_(device), tensors_(std::move(tensors)), fly_(fly) {
  using Role = TrainedTensor::Role;
  std::uint64_t next = 0;
  const auto place = [&](auto belongs) {
    const std::uint64_t first = next;
    for (auto& tensor : tensors_) {
      if (!belongs(tensor)) continue;
      tensor.offset = next;
      next += tensor.elements();
    }
    return next - first;
  };
  elements_ = place([](const TrainedTensor& tensor) { return tensor.has_gradient(); });
  d_elements_ = place([](const TrainedTensor& tensor) { return tensor.role == Role::fly_d; });
  place([](const TrainedTensor& tensor) { return tensor.role == Role::fly_a; });
  values_ = device.create(4 * next);
  counts_ = device.create(4 * d_elements_);  // a forward pass counts, too
  if (use == Use::inference) return;
  for (auto* buffer : {&gradients_, &m_, &v_}) *buffer = device.create(4 * elements_);
}

kernels::Matrix Trained::counts(const TrainedTensor& tensor) const {
  return {counts_.get(), tensor.offset - elements_, 1, tensor.cols, tensor.cols};
}

const TrainedTensor* Trained::find(const Slot& slot, TrainedTensor::Role role) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& tensor) {
    return tensor.slot == slot && tensor.role == role;
  });
  return found == tensors_.end() ? nullptr : &*found;
}

void Trained::set(const TrainedTensor& tensor, std::span<const float> values) {
  device_.call(&Backend::upload, values_.get(), 4 * tensor.offset, values.data(),
               std::uint64_t{values.size_bytes()});
}

std::vector<float> Trained::read(const device::Buffer& from, const TrainedTensor& tensor) const {
  std::vector<float> values(tensor.elements());
  device_.call(&Backend::download, from.get(), 4 * tensor.offset, values.data(),
               std::uint64_t{4 * values.size()});
  return values;
}

void Trained::clear_gradients() {
  const auto clear = [&](const device::Buffer& buffer, std::uint64_t elements) {
    device_.call(&Network::zero, kernels::Zero<Given>{{buffer.get(), 0, 1, elements, elements}});
  };
  clear(gradients_, elements_);
  clear(counts_, d_elements_);  // whose 0 has the bits of +0
}

float Trained::gradient_norm(float factor) {
  float squares = 0;
  device_.call(&Network::square_sum, kernels::Matrix{gradients_.get(), 0, 1, elements_, elements_},
               &squares);
  return std::sqrt(squares) * factor;  // of IEEE 754, as is the product
}

void Trained::step(const AdamStep& step) {
  power1_ *= step.beta1;
  power2_ *= step.beta2;
  // Neighbours with the same decay are one call: usually all of it.
  std::uint64_t first = 0, count = 0;
  for (std::size_t i = 0; i < tensors_.size(); first += count) {
    const bool decays = tensors_[i].decays;
    for (count = 0; i < tensors_.size() && tensors_[i].decays == decays; ++i) {
      if (tensors_[i].has_gradient()) count += tensors_[i].elements();
    }
    const auto part = [&](const device::Buffer& buffer) {
      return kernels::Matrix{buffer.get(), first, 1, count, count};
    };
    device_.call(
        &Network::adam,
        kernels::Adam<Given>{part(values_), part(m_), part(v_), part(gradients_), step.rate,
                             step.beta1, step.beta2, step.epsilon, decays ? step.decay : 0.0F,
                             1 - power1_, 1 - power2_, step.factor});
  }
  if (fly_) balance();
}

/// d += balance * sign(mean count - count), the mean that of the matrix's ranks: compared as
/// sum <> ranks * count, which is exact.
void Trained::balance() {
  std::vector<std::uint32_t> counts(d_elements_);
  std::vector<float> d(d_elements_);
  device_.call(&Backend::download, static_cast<const kernels::Buffer*>(counts_.get()),
               std::uint64_t{0}, static_cast<void*>(counts.data()), 4 * d_elements_);
  device_.call(&Backend::download, static_cast<const kernels::Buffer*>(values_.get()),
               4 * elements_, static_cast<void*>(d.data()), 4 * d_elements_);
  for (const auto& tensor : tensors_) {
    if (tensor.role != TrainedTensor::Role::fly_d) continue;
    const auto of_matrix = std::span(counts).subspan(tensor.offset - elements_, tensor.cols);
    const auto sum = std::accumulate(of_matrix.begin(), of_matrix.end(), std::uint64_t{0});
    for (std::uint64_t i = 0; i < tensor.cols; ++i) {
      const std::uint64_t times = tensor.cols * of_matrix[i];
      float& moved = d[tensor.offset - elements_ + i];
      if (times != sum) moved += times < sum ? fly_->balance : -fly_->balance;
    }
  }
  device_.call(&Backend::upload, values_.get(), 4 * elements_, static_cast<const void*>(d.data()),
               4 * d_elements_);
}

void Trained::save(std::span<std::uint8_t> state) const {
  std::memcpy(state.data(), &power1_, 4);
  std::memcpy(state.data() + 4, &power2_, 4);
  std::uint8_t* to = state.data() + 8;
  for (const auto* buffer : {&values_, &m_, &v_}) {
    const std::uint64_t bytes = 4 * (elements_ + (buffer == &values_ ? d_elements_ : 0));
    device_.download(*buffer, to, bytes);
    to += bytes;
  }
}

void Trained::restore(ByteView state) {
  std::memcpy(&power1_, state.data(), 4);
  std::memcpy(&power2_, state.data() + 4, 4);
  const std::uint8_t* from = state.data() + 8;
  for (const auto* buffer : {&values_, &m_, &v_}) {
    const std::uint64_t bytes = 4 * (elements_ + (buffer == &values_ ? d_elements_ : 0));
    device_.call(&Backend::upload, buffer->get(), std::uint64_t{0}, from, bytes);
    from += bytes;
  }
}

namespace {

float float_at(ByteView bytes, std::uint64_t index) {
  float value = 0;
  std::memcpy(&value, bytes.data() + 4 * index, sizeof value);
  return value;
}

}  // namespace

Trained::Drift Trained::drift(ByteView before, ByteView state, ByteView other) const {
  // |state - other| / |other - from| over `elements_` elements.
  const auto apart = [&](std::uint64_t first, ByteView from) {
    double distance = 0, length = 0;
    for (std::uint64_t i = first; i < first + elements_; ++i) {
      const double right = float_at(other, i), off = float_at(state, i) - right;
      const double come = from.empty() ? right : right - float_at(from, i);
      distance += off * off;
      length += come * come;
    }
    return distance == 0 ? 0 : std::sqrt(distance / length);
  };
  const std::uint64_t values = 2, d = values + elements_, m = d + d_elements_;
  Drift drift{apart(values, before), apart(m, {}), apart(m + elements_, {}), 0};
  for (std::uint64_t i = d; i < m; ++i) {
    drift.d = std::max(drift.d, std::fabs(double{float_at(state, i)} - float_at(before, i)));
  }
  return drift;
}

namespace {

bool is_norm(Part part) {
  return part == Part::attention_norm || part == Part::mlp_norm || part == Part::final_norm ||
         part == Part::query_norm || part == Part::key_norm;
}

/// How far from 0 the elements of a tensor may begin.
float bound_of(const TrainedTensor& tensor, std::uint64_t layers) {
  if (tensor.role == TrainedTensor::Role::lora_a) {
    return 1 / std::sqrt(static_cast<float>(tensor.cols));
  }
  constexpr float usual = 0x1.1bc77ap-5F;  // 0.02 * sqrt(3)
  const bool residual = tensor.slot.part == Part::output || tensor.slot.part == Part::down;
  return residual ? usual / std::sqrt(static_cast<float>(2 * layers)) : usual;
}

}  // namespace

void initialise(device::Device& device, const Architecture& architecture, std::uint64_t seed,
                Trained& trained) {
  for (std::size_t i = 0; i < trained.tensors().size(); ++i) {
    const auto& tensor = trained.tensors()[i];
    const auto stream = first_initial_stream + static_cast<std::uint32_t>(i);
    if (tensor.role == TrainedTensor::Role::fly_a) {
      const auto nonzeros = nonzeros_of(tensor.rows, tensor.cols, trained.fly()->active);
      trained.set(tensor, sparse_projection(tensor.rows, tensor.cols, nonzeros, seed, stream));
      continue;
    }
    const bool drawn = tensor.role == TrainedTensor::Role::lora_a ||
                       (tensor.role == TrainedTensor::Role::whole && !tensor.slot.bias &&
                        !is_norm(tensor.slot.part));
    if (drawn) {
      device.call(&Backend::fill_f32, trained.values().get(), tensor.offset, tensor.elements(),
                  seed, stream, std::uint64_t{0});
      device.call(&Network::scale, kernels::Scale<Given>{trained.value(tensor),
                                                         bound_of(tensor, architecture.layers)});
    } else {
      const bool one = is_norm(tensor.slot.part) && !tensor.slot.bias;
      trained.set(tensor, std::vector<float>(tensor.elements(), one ? 1.0F : 0.0F));
    }
  }
}

bool Lora::adapts(Part part) const {
  return targets.empty() || std::find(targets.begin(), targets.end(), part) != targets.end();
}

std::vector<TrainedTensor> lora_tensors(const Architecture& architecture, const Lora& lora) {
  std::vector<TrainedTensor> tensors;
  for (const auto& parameter : parameters_of(architecture)) {
    const Slot& slot = parameter.slot;
    if (!is_matrix(parameter) || !is_linear(slot.part) || !lora.adapts(slot.part)) continue;
    const std::uint64_t in = parameter.shape[architecture.conv1d ? 0 : 1];
    const std::uint64_t out = parameter.shape[architecture.conv1d ? 1 : 0];
    using Role = TrainedTensor::Role;
    tensors.push_back({slot, lora.fly ? Role::fly_a : Role::lora_a, lora.rank, in, 0, true});
    tensors.push_back({slot, Role::lora_b, out, lora.rank, 0, true});
    if (lora.fly) tensors.push_back({slot, Role::fly_d, 1, lora.rank, 0, true});
  }
  for (const Part part : lora.targets) {
    if (std::none_of(tensors.begin(), tensors.end(),
                     [&](const auto& tensor) { return tensor.slot.part == part; })) {
      throw Error(Exit::usage, "the model has no matrices of a kind that is to be adapted");
    }
  }
  return tensors;
}

std::vector<TrainedTensor> all_tensors(const Architecture& architecture) {
  std::vector<TrainedTensor> tensors;
  for (const auto& parameter : parameters_of(architecture)) {
    const bool matrix = is_matrix(parameter);
    tensors.push_back({parameter.slot, TrainedTensor::Role::whole, matrix ? parameter.shape[0] : 1,
                       parameter.shape.back(), 0, matrix});
  }
  return tensors;
}

}  // namespace volt::lm
