// SPDX-License-Identifier: Apache-2.0

#include "context_cuda.hpp"

#include <cstdio>
#include <utility>

#include "check.hpp"

namespace volt::kernels {

void CudaContext::keep(Status outcome) {
  if (outcome.code == Status::ok || status_.code != Status::ok) return;
  std::snprintf(text_, sizeof text_, outcome.code == Status::failed ? "CUDA: %s" : "%s",
                outcome.text);
  status_.code = outcome.code;
}

Status CudaContext::told() {
  const Status::Code code = std::exchange(status_.code, Status::ok);
  return code == Status::ok ? Status{} : say(code, "%s", text_);
}

std::byte* CudaContext::room(std::uint64_t bytes) {
  if (bytes > room_bytes_) {
    drop_room();
    room_ = engine.store->take(*this, bytes);
    room_bytes_ = room_ == nullptr ? 0 : bytes;
  }
  return room_;
}

void CudaContext::drop_room() {
  if (room_ != nullptr) engine.store->release(*this, room_);
  room_ = nullptr;
  room_bytes_ = 0;
}

const std::vector<SampleBatch>* CudaContext::batches(const View<const std::uint32_t>& first) {
  const bool same = first.data == first_.data && first.rows == first_.rows &&
                    first.stride == first_.stride && changes == seen_changes_;
  if (!same) {
    std::vector<std::uint32_t> words((first.rows - 1) * first.stride + 1);
    engine.store->download(*this, reinterpret_cast<const std::byte*>(first.data), words.data(),
                           words.size() * sizeof(std::uint32_t));
    batches_ = batches_of(words.data(), first.rows, first.stride);
    first_ = first;
    seen_changes_ = changes;
  }
  return batches_ ? &*batches_ : nullptr;
}

}  // namespace volt::kernels
