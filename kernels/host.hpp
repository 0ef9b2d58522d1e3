// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "backend.hpp"
#include "operands.hpp"
#include "pool.hpp"

/// What all backends share: contexts, buffers, and the checks before each operation. They differ in
/// an Engine, the arithmetic on operands that are known to be good, and in its Store, the memory
/// that these lie in.
namespace volt::kernels {

struct Loops;
struct NetworkEngine;

/// Host memory with an alignment of 64, zeroed. Pages that are never touched cost nothing.
class Memory {
 public:
  Memory() = default;
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Gives up what it has and takes `bytes`; false when there are not so many.
  bool take(std::uint64_t bytes);
  std::byte* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// Memory of a device, and the way there. Nothing here reports: `end` does.
struct Store {
  const char* owner;  ///< "the system": who does not have what is asked for
  bool is_host;       ///< borrowed memory is used in place

  std::byte* (*take)(Context&, std::uint64_t bytes);  ///< zeroed, aligned to 64; null: see `end`
  void (*release)(Context&, std::byte* data);
  /// `host` may change as soon as the call returns.
  void (*upload)(Context&, std::byte* to, const void* host, std::uint64_t bytes);
  void (*download)(Context&, const std::byte* from, void* host, std::uint64_t bytes);
  void (*copy)(Context&, const std::byte* from, std::byte* to, std::uint64_t bytes);

  void (*begin)(Context&);  ///< before each call on a context, by whatever thread
  Status (*end)(Context&);  ///< after it: what went wrong, now or in what earlier calls left to do
};

/// Operations without checks. No extent of C (or of x) is 0; k may be. False: out of memory.
struct Engine {
  const Loops* loops;  ///< null: none of the CPU's
  void (*fill_f32)(Context&, float* to, const Stream&);
  void (*fill_i8)(Context&, std::int8_t* to, const Stream&);
  void (*quantise)(Context&, const QuantiseJob&);
  void (*quantise_limbs)(Context&, const QuantiseLimbsJob&);
  bool (*matmul_f32x)(Context&, const Product<float, float>&);
  bool (*matmul_i8)(Context&, const Product<std::int8_t, std::int32_t>&);
  bool (*matmul_i8x)(Context&, const QuantisedProduct&);
  bool (*matmul_i8x2)(Context&, const LimbsProduct&);
  bool (*matmul_bf16)(Context&, const Product<std::uint16_t, float>&);
  bool (*weigh)(Context&, const Weighing&);
  void (*page_digests)(Context&, const std::uint8_t* data, std::uint64_t bytes,
                       std::uint8_t* digests);
  void (*map)(Context&, const MapJob&);
  void (*select_words)(Context&, const Selection<std::uint32_t>&);
  void (*select_bytes)(Context&, const Selection<std::uint8_t>&);
  std::uint64_t (*compare)(Context&, const std::uint8_t* a, const std::uint8_t* b,
                           std::uint64_t bytes);
  const Store* store;
  const NetworkEngine* network;  ///< network_engine.hpp; null: none
};

struct Context {
  /// Throws std::system_error when a thread cannot be started.
  Context(const Engine& e, unsigned threads, std::uint64_t memory_limit)
      : engine(e), pool(threads), limit(memory_limit) {}
  virtual ~Context() = default;

  const Engine& engine;
  Pool pool;
  const std::uint64_t limit;
  std::atomic<std::uint64_t> used{0};
  std::uint64_t changes = 0;  ///< how often memory was made, or written by upload, copy or select
  std::mutex busy;            ///< one call at a time; protects pool and scratch
  Memory scratch;  ///< packed operands: a few MB, or what a head of a sample takes of attention
};

struct Buffer {
  const std::byte* data = nullptr;
  std::byte* writable = nullptr;  ///< null when borrowed
  std::byte* taken = nullptr;     ///< from the store
  std::uint64_t bytes = 0;
  std::uint64_t counted = 0;  ///< towards the limit
};

extern const Engine reference_engine;
extern const Store host_store;
std::uint64_t host_compare(Context&, const std::uint8_t* a, const std::uint8_t* b,
                           std::uint64_t bytes);

/// A table whose contexts run on an engine; only `open` differs between tables.
Backend make_backend(const char* name, Status (*open)(const Options&, Context**),
                     const Network* network);
void add_buffers(Backend& backend);
void add_operations(Backend& backend);

/// For the CPU; `threads` 0 is one per core. Never throws.
Status open_context(const Engine& engine, const Options& options, unsigned threads,
                    Context** context);

}  // namespace volt::kernels
