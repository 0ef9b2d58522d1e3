// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "kernels/backend.hpp"

namespace volt::gpu {

using Bytes = std::vector<std::uint8_t>;

/// What a backend said instead of doing the work.
struct Refusal : std::runtime_error {
  explicit Refusal(const kernels::Status& status);
};

/// Throws a Refusal unless the call went well.
void check(const kernels::Status& status);

/// An open context of a backend, which must outlive it.
class Device {
 public:
  explicit Device(const kernels::Backend& backend, std::uint32_t ordinal = 0);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const kernels::Backend& table;
  kernels::Context* context = nullptr;
};

/// Memory of a device that ends with the scope.
class Buffers {
 public:
  explicit Buffers(Device& device) : device_(device) {}
  ~Buffers();
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  kernels::Buffer* room(std::uint64_t bytes);

  template <class T>
  kernels::Buffer* put(const std::vector<T>& values) {
    kernels::Buffer* const buffer = room(values.size() * sizeof(T));
    put(buffer, values.data(), values.size() * sizeof(T));
    return buffer;
  }

  Bytes get(const kernels::Buffer* buffer, std::uint64_t bytes);

  Device& device() const { return device_; }
  const kernels::Backend& table() const { return device_.table; }
  kernels::Context* context() const { return device_.context; }

 private:
  void put(kernels::Buffer* buffer, const void* values, std::uint64_t bytes);

  Device& device_;
  std::vector<kernels::Buffer*> buffers_;
};

}  // namespace volt::gpu
