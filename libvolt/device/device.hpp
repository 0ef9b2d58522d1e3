// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/backend.hpp"
#include "kernels/network.hpp"
#include "libvolt/base/hex.hpp"

namespace volt::kernels {
struct Cuda;
}

namespace volt::device {

struct CudaGpu;

struct Facts {
  std::string backend;  ///< "cpu", "cuda"
  std::string name;     ///< "AMD EPYC 9354P", "NVIDIA H200"
  std::string driver;   ///< what runs it: "linux 6.1.0", "nvidia 580.65.06, cuda 13.0"
  std::uint64_t memory_bytes = 0;
  unsigned cores = 0;  ///< that this process may use; of a GPU its multiprocessors
};

struct Wanted {
  std::string device = "auto";     ///< auto, cpu, cuda:N, GPU-uuid
  unsigned threads = 0;            ///< 0: one per core this process may use
  std::uint64_t memory_bytes = 0;  ///< limit of the device's memory, 0: what is usual for it
};

/// What a person asked for. Throws Error (usage) when `name` is no device's name at all or
/// `threads` passes 1024. That there is no such device, only opening it tells: CUDA is not for the
/// process that holds keys.
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
  /// `auto` is the GPU with the least memory in use of those that work, else the CPU, which by
  /// itself limits memory to nine tenths of the machine's. Throws Error (usage, no_device).
  explicit Device(const Wanted& wanted);
  /// The CPU by the caller's own table, which lets kernels::cpu() do the work and outlives it: how
  /// measurements replace an operation.
  Device(const Wanted& wanted, const kernels::Backend& cpu);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Facts& facts() const { return facts_; }
  /// Bytes of the host's memory that a workload may fill; on a CPU this is the device's, too.
  std::uint64_t host_memory_limit() const { return host_memory_limit_; }
  /// Bytes that all buffers together may take: what was asked for, or nine tenths of what there is.
  std::uint64_t memory_limit() const { return memory_limit_; }
  bool limit_given() const { return limit_given_; }  ///< or else it is the usual one
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
  /// The same for language models: device.call(&Network::add, kernels::Add<kernels::Given>{x, y}).
  template <class... Parameters, class... Arguments>
  void call(kernels::Status (*kernels::Network::*operation)(kernels::Context*, Parameters...),
            const Arguments&... arguments) {
    check((network().*operation)(context_, arguments...));
  }

 private:
  static void check(kernels::Status status);
  const kernels::Network& network() const;  ///< throws Error (no_device) if the device has none
  void open_cpu(const Wanted& wanted, const kernels::Backend& cpu);
  kernels::Status open_gpu(const Wanted& wanted, const kernels::Cuda& cuda, const CudaGpu& gpu,
                           const std::string& driver);
  bool open_any_gpu(const Wanted& wanted);
  void open_named_gpu(const Wanted& wanted);

  const kernels::Backend* backend_ = nullptr;
  kernels::Context* context_ = nullptr;
  Facts facts_;
  std::uint64_t host_memory_limit_ = 0, memory_limit_ = 0;
  bool limit_given_ = false;
};

}  // namespace volt::device
