// SPDX-License-Identifier: Apache-2.0

#include "pool.hpp"

#if defined(__linux__)
#include <sched.h>
#endif
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

int current_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Keeps the calling thread off one processor, of those that it was started with. Linux likes to
// wake a thread where its waker runs, which goes on running: the woken one would wait for its turn,
// and the loop for it.
class Elsewhere {
 public:
#if defined(__linux__)
  Elsewhere() { known_ = sched_getaffinity(0, sizeof all_, &all_) == 0 && CPU_COUNT(&all_) > 1; }
  void keep_off(int cpu) {
    if (!known_ || cpu == off_ || cpu < 0 || cpu >= CPU_SETSIZE) return;
    cpu_set_t others = all_;
    CPU_CLR(cpu, &others);
    if (sched_setaffinity(0, sizeof others, &others) == 0) off_ = cpu;
  }

 private:
  cpu_set_t all_;
  bool known_;
  int off_ = -1;
#else
  void keep_off(int) {}
#endif
};

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
Pool::Pool(unsigned threads)
    : looks_(threads <= std::thread::hardware_concurrency() ? looks : 0), shares_(threads) {
  try {
    workers_.reserve(threads);
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
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

void Pool::drain(unsigned thread) {
  for (unsigned i = 0; i < threads(); ++i) {
    Share& share = shares_[(thread + i) % threads()];
    for (;;) {
      const std::uint64_t next = share.next.fetch_add(1, std::memory_order_relaxed);
      if (next >= share.end) break;
      call_(body_, next);
    }
  }
}

void Pool::work(unsigned thread) {
  const ExactFloat exact;  // a new thread starts with its creator's state
  Elsewhere elsewhere;
  for (std::uint64_t seen = 0;;) {
    const auto called = [&] { return stopping_ || turn_ != seen; };
    if (!seen_soon(looks_, called)) {
      elsewhere.keep_off(caller_cpu_);
      std::unique_lock lock(mutex_);
      start_.wait(lock, called);
    }
    if (stopping_) return;
    seen = turn_;
    // Since whoever waits lets others run, one core may look enough for the two to the scheduler.
    if (current_cpu() == caller_cpu_) elsewhere.keep_off(caller_cpu_);
    drain(thread);
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
    for (std::uint64_t i = 0; i < threads(); ++i) {
      shares_[i].next.store(count * i / threads(), std::memory_order_relaxed);
      shares_[i].end = count * (i + 1) / threads();
    }
    busy_ = static_cast<unsigned>(workers_.size());
    caller_cpu_ = current_cpu();
    ++turn_;  // what is above is seen by whoever sees this
  }
  start_.notify_all();
  drain(0);
  const auto finished = [&] { return busy_ == 0; };
  if (!seen_soon(looks_, finished)) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, finished);
  }
}

}  // namespace volt::kernels
