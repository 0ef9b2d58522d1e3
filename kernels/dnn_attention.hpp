// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "attention_graph.hpp"

namespace volt::kernels {

/// Attention by cuDNN on one stream. A plan is made for each shape, which takes up to a second, and
/// kept.
class DnnAttention {
 public:
  /// Null where the library is older than 9.10.2, or has no GPU here that it knows.
  static std::unique_ptr<DnnAttention> open(const Cudnn& library, CudaStream stream);
  ~DnnAttention();
  DnnAttention(const DnnAttention&) = delete;
  DnnAttention& operator=(const DnnAttention&) = delete;

  /// As Libraries has them.
  std::optional<std::uint64_t> bytes(const AttentionShape& shape);
  Status attend(const AttentionShape& shape, const AttentionData& data);

 private:
  DnnAttention(const Cudnn& library, void* handle) : library_(library), handle_(handle) {}
  const std::optional<AttentionPlan>& plan(const AttentionShape& shape);

  const Cudnn& library_;
  void* const handle_;
  std::map<AttentionShape, std::optional<AttentionPlan>> plans_;  // none: it does not have it
};

}  // namespace volt::kernels
