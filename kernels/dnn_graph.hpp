// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cudnn.hpp"

namespace volt::kernels {

/// Descriptors of cuDNN, which go in the reverse order of their making.
class DnnDescriptors {
 public:
  explicit DnnDescriptors(const Cudnn& library) : library_(&library) {}
  ~DnnDescriptors();
  DnnDescriptors(DnnDescriptors&& other) noexcept = default;
  DnnDescriptors& operator=(DnnDescriptors&&) = delete;

  const Cudnn& library() const { return *library_; }
  /// From the first failure on, nothing more is done.
  bool good() const { return good_; }

  void* make(CudnnDescriptor type);
  void set(void* descriptor, CudnnAttribute attribute, CudnnType type, const void* values,
           std::int64_t count = 1);
  void set_number(void* descriptor, CudnnAttribute attribute, std::int64_t value);
  void set_choice(void* descriptor, CudnnAttribute attribute, CudnnType type, int value);
  void set_flag(void* descriptor, CudnnAttribute attribute, bool value);
  /// No `other` is no attribute.
  void set_other(void* descriptor, CudnnAttribute attribute, void* other);
  void finish(void* descriptor);

 private:
  void did(int status) { good_ = good_ && status == 0; }

  const Cudnn* library_;
  std::vector<void*> made_;
  bool good_ = true;
};

/// The GPU that a graph is for: that of a handle, or one that need not be there, by a descriptor of
/// its properties (cuDNN 9.8).
struct DnnTarget {
  void *handle = nullptr, *device = nullptr;
};

/// A graph that has been compiled.
struct DnnPlan {
  DnnDescriptors descriptors;
  void* plan;
  std::uint64_t workspace_bytes;
};

/// Operations between tensors of four extents. Those with an id are memory, or a number of the
/// host's, named when a plan is run; those between operations have none.
class DnnGraph {
 public:
  using Extents = std::array<std::int64_t, 4>;
  /// The extents of a product, where they vary: int32 [samples, 1, 1, 1].
  struct Varying {
    void *m = nullptr, *n = nullptr, *k = nullptr;
  };

  explicit DnnGraph(const Cudnn& library) : descriptors_(library) {}

  void* stored(std::int64_t id, CudnnData type, const Extents& extents, const Extents& strides);
  void* number(std::int64_t id);  ///< fp32
  void* between(CudnnData type, const Extents& extents, const Extents& strides);

  /// y = mode(x, b), as `precision`; of `b` those that have none, of `choose` binary_select alone.
  void pointwise(CudnnPointwise mode, void* x, void* b, void* y, CudnnData precision = cudnn_float,
                 void* choose = nullptr);
  /// y[i] = i[axis].
  void indices(int axis, void* like, void* y, CudnnData precision);
  void multiply(void* a, void* b, void* c, const Varying& varying);
  void reduce(CudnnReduction reduction, void* x, void* y);
  void reshape(void* x, void* y);

  /// By the first engine that can, in the order of the library's heuristics; none: it has none.
  std::optional<DnnPlan> compile(const DnnTarget& target) &&;

 private:
  void* tensor(std::int64_t id, CudnnData type, const Extents& extents, const Extents& strides,
               bool is_virtual, bool is_number);
  void point(void* pointwise, void* x, void* b, void* y, void* choose);
  void* start_pointwise(CudnnPointwise mode, CudnnData precision);
  void operation(void* made);
  std::vector<void*> engines(void* graph, CudnnHeuristics mode, const DnnTarget& target);
  std::optional<std::uint64_t> finish_plan(void* plan, void* engine, const DnnTarget& target) const;

  DnnDescriptors descriptors_;
  std::vector<void*> operations_;
  std::int64_t next_ = 1000;  // ids of what lies between
};

}  // namespace volt::kernels
