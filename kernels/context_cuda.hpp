// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "host.hpp"
#include "libraries.hpp"
#include "samples.hpp"

struct CUstream_st;

namespace volt::kernels {

/// A context on a GPU: work is queued on one stream, in order, and nothing waits for it but what
/// brings data back to the host. So an error of an operation may show in a later call.
struct CudaContext : Context {
  using Context::Context;

  CUstream_st* stream = nullptr;         ///< cudaStream_t
  std::unique_ptr<Libraries> libraries;  ///< null: none, as in an emulator

  /// Keeps what a step came to; `told` tells the first that is not ok, once.
  void keep(Status outcome);
  Status told();

  /// Device memory for what an operation needs besides, until the next one asks; null when there is
  /// not so much. It is kept, and counts towards no limit.
  std::byte* room(std::uint64_t bytes);
  void drop_room();

  /// batches_of(first), which is device memory: read once for as long as no call has put anything
  /// into memory that may be words (`changes`). Null: there are none, or it could not be read.
  const std::vector<SampleBatch>* batches(const View<const std::uint32_t>& first);

 private:
  Status status_;
  char text_[300] = {};
  std::byte* room_ = nullptr;
  std::uint64_t room_bytes_ = 0;
  View<const std::uint32_t> first_;
  std::uint64_t seen_changes_ = 0;
  std::optional<std::vector<SampleBatch>> batches_;
};

inline CudaContext& cuda_context(Context& context) { return static_cast<CudaContext&>(context); }

}  // namespace volt::kernels
