// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "backend.hpp"
#include "pool.hpp"

/// What the two CPU backends share: contexts, memory, and the checks before each operation. They
/// differ in an Engine, the arithmetic on operands that are known to be good.
namespace volt::kernels {

struct Loops;

/// Bytes with an alignment of 64, zeroed. Pages that are never touched cost nothing.
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
  void* block_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// A checked matrix: T is const where it is only read.
template <class T>
struct View {
  T* data = nullptr;
  std::uint64_t rows = 0, cols = 0, stride = 0;
};

inline bool is_diagonal(Form form) { return form >= Form::ab_diagonal; }

/// A checked product C[m,n] += A B; the axis of k is known from the form.
template <class In, class Out>
struct Product {
  Form form;
  std::uint64_t m, n, k;
  View<const In> a, b;
  View<Out> c;
};

struct QuantisedProduct : Product<std::int8_t, float> {
  View<const float> scales_a, scales_b;
};

/// What `select` does, for elements of 1 or 4 bytes.
template <class T>
struct Selection {
  Lines lines;
  View<const T> from;
  const std::uint64_t* index;
  View<T> to;
};

struct MapJob {
  Function function;
  const void* x;
  void* y;
  std::uint64_t count;
};

struct QuantiseJob {
  View<const float> x;
  View<std::int8_t> q;
  View<float> scales;
  Quantised::Axis axis;
};

/// Elements [first, first + count) of a random stream.
struct Stream {
  std::uint64_t count, seed, first;
  std::uint32_t stream;
};

/// Operations without checks. No extent of C (or of x) is 0; k may be. False: out of memory.
struct Engine {
  const Loops* loops;  ///< null: the reference
  void (*fill_f32)(Context&, float* to, const Stream&);
  void (*fill_i8)(Context&, std::int8_t* to, const Stream&);
  void (*quantise)(Context&, const QuantiseJob&);
  bool (*matmul_f32x)(Context&, const Product<float, float>&);
  bool (*matmul_i8)(Context&, const Product<std::int8_t, std::int32_t>&);
  bool (*matmul_i8x)(Context&, const QuantisedProduct&);
  void (*page_digests)(Context&, const std::uint8_t* data, std::uint64_t bytes,
                       std::uint8_t* digests);
  void (*map)(Context&, const MapJob&);
  void (*select_words)(Context&, const Selection<std::uint32_t>&);
  void (*select_bytes)(Context&, const Selection<std::uint8_t>&);
};

struct Context {
  Context(const Engine& e, unsigned threads, std::uint64_t memory_limit)
      : engine(e), pool(threads), limit(memory_limit) {}

  const Engine& engine;
  Pool pool;
  const std::uint64_t limit;
  std::atomic<std::uint64_t> used{0};
  std::mutex busy;  ///< one operation at a time; protects pool and scratch
  Memory scratch;   ///< packed operands, a few MB whatever the shapes
};

extern const Engine reference_engine;

/// A table whose contexts run on `engine`; only `open` differs between tables.
Backend make_backend(const char* name, Status (*open)(const Options&, Context**));

/// `threads` 0 is one per core. Never throws.
Status open_context(const Engine& engine, const Options& options, unsigned threads,
                    Context** context);

}  // namespace volt::kernels
