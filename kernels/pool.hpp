// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace volt::kernels {

/// The floating-point state of the contract (round to nearest, denormals kept) while it lives; the
/// caller's comes back afterwards, exception flags included.
class ExactFloat {
 public:
  ExactFloat();
  ~ExactFloat();
  ExactFloat(const ExactFloat&) = delete;
  ExactFloat& operator=(const ExactFloat&) = delete;

 private:
  struct State;
  alignas(16) unsigned char state_[64];
};

/// A fixed number of threads that share loops out among themselves. One loop at a time.
class Pool {
 public:
  /// `threads` counts the caller. Throws std::system_error when one cannot be started.
  explicit Pool(unsigned threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(shares_.size()); }

  /// Calls body(i) for every i < count, in any order; `body` must not throw. With `shared` false,
  /// which is for work smaller than waking a thread, the caller does it all.
  template <class Body>
  void each(std::uint64_t count, bool shared, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(
        count, shared, [](void* b, std::uint64_t i) { (*static_cast<Plain*>(b))(i); },
        const_cast<void*>(static_cast<const void*>(std::addressof(body))));
  }

 private:
  using Call = void (*)(void*, std::uint64_t);
  void run(std::uint64_t count, bool shared, Call call, void* body);
  void drain(unsigned thread);
  void work(unsigned thread);
  void stop();

  std::mutex mutex_;
  std::condition_variable start_, done_;
  std::atomic<std::uint64_t> turn_{0};  // one per loop
  std::atomic<unsigned> busy_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> caller_cpu_{-1};
  const int looks_;
  Call call_ = nullptr;
  void* body_ = nullptr;
  /// What a thread does first, the same in each loop of the same length: what it wrote is then
  /// still in its cache. Afterwards it helps the others.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> next{0};
    std::uint64_t end = 0;
  };
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
};

}  // namespace volt::kernels
