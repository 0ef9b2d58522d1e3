// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace volt::kernels::emulator {

/// Zeroed memory that ends where a page begins that nobody may touch, and so does the page before.
class Guarded {
 public:
  explicit Guarded(std::size_t bytes) : size_((bytes + page - 1) / page * page) {
    void* mapped = mmap(nullptr, size_ + 2 * page, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(mapped);
    if (size_ != 0 && mprotect(base_ + page, size_, PROT_READ | PROT_WRITE) != 0) {
      throw std::bad_alloc();
    }
  }
  ~Guarded() { munmap(base_, size_ + 2 * page); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  std::byte* end() const { return base_ + page + size_; }

 private:
  static constexpr std::size_t page = 4096;
  std::size_t size_;
  std::byte* base_ = nullptr;
};

}  // namespace volt::kernels::emulator
