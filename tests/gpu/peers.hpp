// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

/// What NVIDIA's libraries do on the same GPU, to compare speeds with. They are loaded where they
/// are found and are needed by nothing: the driver (memory, copies), cuBLAS and cuBLASLt.
namespace volt::gpu {

struct Driver;

enum class PeerKind {
  f32,   ///< cuBLAS, fp32 with CUBLAS_PEDANTIC_MATH: no tensor cores, no reordering tricks
  i8,    ///< cuBLASLt, int8 to int32
  bf16,  ///< cuBLASLt, bf16 to bf16, sums in fp32
};

/// Memory of the driver; freed with the value.
class PeerMemory {
 public:
  PeerMemory(const Driver& driver, std::uint64_t bytes);  ///< throws std::runtime_error
  ~PeerMemory();
  PeerMemory(PeerMemory&& other) noexcept;

  std::uint64_t address() const { return address_; }
  std::uint64_t bytes() const { return bytes_; }
  void upload(const std::vector<std::uint8_t>& values);
  void download(std::vector<std::uint8_t>& values) const;

 private:
  const Driver* driver_;
  std::uint64_t address_ = 0, bytes_ = 0;
};

/// One shape, with as many sets of operands as asked for. C = A B; C is written, not read.
class PeerProduct {
 public:
  virtual ~PeerProduct() = default;
  /// Operands as the form stores them, with dense rows.
  virtual void put(unsigned set, const std::vector<std::uint8_t>& a,
                   const std::vector<std::uint8_t>& b) = 0;
  /// Once all sets are there. Takes the fastest of what the library proposes, by a short trial;
  /// false where it proposes nothing for the shape.
  virtual bool ready() = 0;
  /// Queues one product. Throws std::runtime_error, as all of these do.
  virtual void start(unsigned set) = 0;
};

class Peers {
 public:
  /// Of a GPU, as CUDA counts them; of none, there are none. Never throws: see `missing`.
  explicit Peers(const std::optional<unsigned>& gpu);
  ~Peers();

  /// "cuBLAS 13.0.2 pedantic fp32"; empty when it cannot be had, for the reason in `missing`.
  const std::string& name(PeerKind kind) const;
  const std::string& missing(PeerKind kind) const;
  bool driver() const;

  std::uint64_t cache_bytes() const;  ///< of the last level; 0 without a driver
  std::uint64_t free_bytes() const;   ///< of the GPU's memory; all there can be without a driver

  /// Only of a kind that is not missing. cuBLASLt takes int8 in the form abt alone.
  std::unique_ptr<PeerProduct> product(PeerKind kind, kernels::Form form, std::uint64_t m,
                                       std::uint64_t n, std::uint64_t k, unsigned sets);

  /// The rest is for where there is a driver.
  PeerMemory memory(std::uint64_t bytes);
  void copy(const PeerMemory& from, const PeerMemory& to);  ///< queues a copy on the device
  void wait();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace volt::gpu
