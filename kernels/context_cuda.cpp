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

}  // namespace volt::kernels
