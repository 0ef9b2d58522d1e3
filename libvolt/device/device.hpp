// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/backend.hpp"
#include "libvolt/base/hex.hpp"

namespace volt::device {

struct Facts {
  std::string backend;  ///< "cpu"
  std::string name;     ///< "AMD EPYC 9354P"
  std::string driver;   ///< what runs it: "linux 6.1.0"
  std::uint64_t memory_bytes = 0;
  unsigned cores = 0;
};

struct Wanted {
  std::string device = "auto";     ///< auto, cpu
  unsigned threads = 0;            ///< 0: one per core this process may use
  std::uint64_t memory_bytes = 0;  ///< limit of the arena, 0: none
};

/// What a person asked for. Throws Error: usage when `name` is no device's name at all or `threads`
/// passes 1024, no_device when there is no such device.
Wanted wanted(std::string_view name, std::uint64_t threads);

/// What this machine has.
Facts cpu_facts();

/// Memory of a device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  kernels::Buffer* get() const { return buffer_; }

 private:
  friend class Device;
  Buffer(const kernels::Backend* backend, kernels::Context* context, kernels::Buffer* buffer)
      : backend_(backend), context_(context), buffer_(buffer) {}
  const kernels::Backend* backend_ = nullptr;
  kernels::Context* context_ = nullptr;
  kernels::Buffer* buffer_ = nullptr;
};

/// An open device: a backend, its threads and its arena. Not copied, not moved; buffers must go
/// before it.
class Device {
 public:
  /// Throws Error (usage, no_device).
  explicit Device(const Wanted& wanted);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Facts& facts() const { return facts_; }
  std::uint64_t memory_limit() const { return memory_limit_; }  ///< bytes, 0: none
  Buffer create(std::uint64_t bytes);
  Buffer borrow(ByteView host);  ///< the memory must outlive the buffer
  void download(const Buffer& buffer, std::uint8_t* host, std::uint64_t bytes);

  /// Calls an operation of the table with the context first, and throws what it reports:
  /// device.call(&Backend::matmul_i8, form, a, b, c).
  template <class... Parameters, class... Arguments>
  void call(kernels::Status (*kernels::Backend::*operation)(kernels::Context*, Parameters...),
            const Arguments&... arguments) {
    check((backend_->*operation)(context_, arguments...));
  }

 private:
  static void check(kernels::Status status);
  const kernels::Backend* backend_;
  kernels::Context* context_ = nullptr;
  Facts facts_;
  std::uint64_t memory_limit_;
};

}  // namespace volt::device
