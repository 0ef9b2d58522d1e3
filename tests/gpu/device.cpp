// SPDX-License-Identifier: Apache-2.0

#include "device.hpp"

namespace volt::gpu {

Refusal::Refusal(const kernels::Status& status)
    : std::runtime_error(status.text == nullptr ? "no reason given" : status.text) {}

void check(const kernels::Status& status) {
  if (status.code != kernels::Status::ok) throw Refusal(status);
}

Device::Device(const kernels::Backend& backend, std::uint32_t ordinal) : table(backend) {
  kernels::Options options;
  options.device = ordinal;
  check(table.open(options, &context));
}

Device::~Device() { table.close(context); }

Buffers::~Buffers() {
  for (kernels::Buffer* const buffer : buffers_) table().destroy(context(), buffer);
}

kernels::Buffer* Buffers::room(std::uint64_t bytes) {
  kernels::Buffer* buffer = nullptr;
  check(table().create(context(), bytes, &buffer));
  buffers_.push_back(buffer);
  return buffer;
}

void Buffers::put(kernels::Buffer* buffer, const void* values, std::uint64_t bytes) {
  check(table().upload(context(), buffer, 0, values, bytes));
}

Bytes Buffers::get(const kernels::Buffer* buffer, std::uint64_t bytes) {
  Bytes values(bytes);
  check(table().download(context(), buffer, 0, values.data(), bytes));
  return values;
}

}  // namespace volt::gpu
