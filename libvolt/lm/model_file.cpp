// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/model_file.hpp"

#include <map>
#include <string>

#include "kernels/exact.hpp"
#include "libvolt/lm/linear.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

using kernels::Backend;
using kernels::Form;
using Role = TrainedTensor::Role;
using tensor::Dtype;

/// Puts what comes before the elements, and tells in which order they must follow.
std::vector<Slot> put_header(const Architecture& architecture,
                             const std::function<Dtype(const Slot&)>& dtype, const Put& put) {
  std::vector<tensor::Named> named;
  std::map<std::string, Slot> slots;
  for (const auto& parameter : parameters_of(architecture)) {
    named.push_back({parameter.name, {dtype(parameter.slot), parameter.shape}});
    slots.emplace(parameter.name, parameter.slot);
  }
  put(as_bytes(tensor::safetensors_header(named, {{"format", "pt"}})));
  std::vector<Slot> order;
  for (const auto& tensor : named) order.push_back(slots.at(tensor.first));
  return order;
}

template <class T>
void put_all(const std::vector<T>& values, const Put& put) {
  put({reinterpret_cast<const std::uint8_t*>(values.data()), sizeof(T) * values.size()});
}

void put_as(Dtype dtype, const std::vector<float>& values, const Put& put) {
  if (dtype == Dtype::f32) return put_all(values, put);
  std::vector<std::uint16_t> halves(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    halves[i] = dtype == Dtype::bf16 ? kernels::to_bf16(values[i]) : kernels::to_fp16(values[i]);
  }
  put_all(halves, put);
}

/// [rows, cols] as [cols, rows].
std::vector<float> transposed(const std::vector<float>& x, std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> y(x.size());
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < cols; ++j) y[j * rows + i] = x[i * cols + j];
  }
  return y;
}

std::vector<float> merged(device::Device& device, const Architecture& architecture,
                          const Weight& weight, const Trained& trained, const TrainedTensor& a,
                          const TrainedTensor& b, float scale) {
  const auto& shape = weight.description.shape;
  Tensor w = make_tensor(device, shape[0], shape[1]);
  std::vector<float> values = floats(weight);
  device.call(&Backend::upload, w.buffer.get(), std::uint64_t{0}, values.data(),
              std::uint64_t{4 * values.size()});
  std::vector<float> scaled = trained.get(b);
  for (float& value : scaled) value *= scale;
  // Stored as [in, out], the matrix gets A^T (scale B)^T.
  if (architecture.conv1d) scaled = transposed(scaled, b.rows, b.cols);
  Tensor left = make_tensor(device, architecture.conv1d ? b.cols : b.rows,
                            architecture.conv1d ? b.rows : b.cols);
  device.call(&Backend::upload, left.buffer.get(), std::uint64_t{0}, scaled.data(),
              std::uint64_t{4 * scaled.size()});
  if (architecture.conv1d) {
    device.call(&Backend::matmul_f32x, Form::atb, trained.value(a), left.matrix, w.matrix);
  } else {
    device.call(&Backend::matmul_f32x, Form::ab, left.matrix, trained.value(a), w.matrix);
  }
  device.call(&Backend::download, static_cast<const kernels::Buffer*>(w.buffer.get()),
              std::uint64_t{0}, values.data(), std::uint64_t{4 * values.size()});
  return values;
}

}  // namespace

void write_trained(const Architecture& architecture, const Trained& trained, const Put& put) {
  const auto f32 = [](const Slot&) { return Dtype::f32; };
  for (const Slot& slot : put_header(architecture, f32, put)) {
    put_all(trained.get(*trained.find(slot, Role::whole)), put);
  }
}

void write_merged(device::Device& device, const Architecture& architecture, const Weights& base,
                  const Trained& trained, float scale, const Put& put) {
  const auto dtype = [&](const Slot& slot) { return base.at(slot).description.dtype; };
  for (const Slot& slot : put_header(architecture, dtype, put)) {
    const auto *a = trained.find(slot, Role::lora_a), *b = trained.find(slot, Role::lora_b);
    const Weight& weight = base.at(slot);
    if (a == nullptr) {
      put(weight.bytes);
    } else {
      put_as(dtype(slot), merged(device, architecture, weight, trained, *a, *b, scale), put);
    }
  }
}

}  // namespace volt::lm
