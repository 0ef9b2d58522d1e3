// SPDX-License-Identifier: Apache-2.0

#include "pool.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace volt::kernels {

#if defined(__x86_64__)

struct ExactFloat::State {
  unsigned control;
};

ExactFloat::ExactFloat() {
  new (state_) State{_mm_getcsr()};
  _mm_setcsr(0x1f80);  // exceptions masked, to nearest, neither FTZ nor DAZ
}

ExactFloat::~ExactFloat() { _mm_setcsr(std::launder(reinterpret_cast<State*>(state_))->control); }

#else

struct ExactFloat::State {
  std::fenv_t environment;
};

ExactFloat::ExactFloat() {
  static_assert(sizeof(State) <= sizeof state_);
  std::fegetenv(&(new (state_) State)->environment);
  std::fesetenv(FE_DFL_ENV);
}

ExactFloat::~ExactFloat() {
  std::fesetenv(&std::launder(reinterpret_cast<State*>(state_))->environment);
}

#endif

namespace {

// How often a thread looks before it sleeps: about a millisecond, longer than the pauses between
// the loops of a workload. It lets others run in between: two threads that were woken on one core
// are moved apart only while both want to run.
constexpr int looks = 20000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

template <class Done>
bool seen_soon(int most, Done done) {
  for (int i = 0; i < most; ++i) {
    if (done()) return true;
    pause();
    if (i % 256 == 255) std::this_thread::yield();
  }
  return done();
}

}  // namespace

// With more threads than cores, one that looks would keep another from working.
Pool::Pool(unsigned threads) : looks_(threads <= std::thread::hardware_concurrency() ? looks : 0) {
  try {
    workers_.reserve(threads);
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Pool::drain(Call call, void* body, std::uint64_t count) {
  for (;;) {
    const std::uint64_t i = next_.fetch_add(1, std::memory_order_relaxed);
    if (i >= count) return;
    call(body, i);
  }
}

void Pool::work() {
  const ExactFloat exact;  // a new thread starts with its creator's state
  for (std::uint64_t seen = 0;;) {
    const auto called = [&] { return stopping_ || turn_ != seen; };
    if (!seen_soon(looks_, called)) {
      std::unique_lock lock(mutex_);
      start_.wait(lock, called);
    }
    if (stopping_) return;
    seen = turn_;
    drain(call_, body_, count_);
    if (--busy_ == 0) {
      const std::lock_guard lock(mutex_);  // so that the caller is either before its look or waits
      done_.notify_one();
    }
  }
}

void Pool::run(std::uint64_t count, bool shared, Call call, void* body) {
  if (!shared || count < 2 || workers_.empty()) {
    for (std::uint64_t i = 0; i < count; ++i) call(body, i);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    call_ = call;
    body_ = body;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    busy_ = static_cast<unsigned>(workers_.size());
    ++turn_;  // what is above is seen by whoever sees this
  }
  start_.notify_all();
  drain(call, body, count);
  const auto finished = [&] { return busy_ == 0; };
  if (!seen_soon(looks_, finished)) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, finished);
  }
}

}  // namespace volt::kernels
