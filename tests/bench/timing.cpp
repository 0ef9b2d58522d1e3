// SPDX-License-Identifier: Apache-2.0
#include "timing.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace volt::bench {
namespace {

double seconds_of(const std::function<void()>& call, int repeats) {
  const double start = now();
  for (int i = 0; i < repeats; ++i) call();
  return (now() - start) / repeats;
}

// One side: how often it is called for a sample, and its samples.
class Side {
 public:
  explicit Side(const std::function<void()>& call) : call_(call) {
    if (!call_) return;
    call_();
    once_ = seconds_of(call_, 1);
  }

  double once() const { return once_; }

  void measure() {
    constexpr double sample = 0.05;
    if (!call_) return;
    if (once_ < sample) call_();  // wakes the threads
    samples_.push_back(seconds_of(call_, std::clamp(static_cast<int>(sample / once_), 1, 1000)));
  }

  Summary summary() const { return samples_.empty() ? Summary{} : summarise(samples_); }

 private:
  const std::function<void()>& call_;
  double once_ = 0;
  std::vector<double> samples_;
};

}  // namespace

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Pair in_turn(const std::function<void()>& ours, const std::function<void()>& peer) {
  constexpr auto pause = std::chrono::milliseconds(60);
  Side our_side(ours), peer_side(peer);
  const int rounds = our_side.once() + peer_side.once() > 0.4 ? 5 : 9;
  for (int round = 0; round < rounds; ++round) {
    std::this_thread::sleep_for(pause);
    our_side.measure();
    peer_side.measure();
  }
  return {our_side.summary(), peer_side.summary()};
}

Row row(const std::string& what, const std::string& shape, const std::string& unit, double work,
        const Pair& pair, const std::string& peer_name) {
  Row result;
  result.what = what;
  result.shape = shape;
  result.unit = unit;
  result.ours = work / pair.ours.median;
  if (pair.peer.median > 0) result.peer = work / pair.peer.median;
  result.peer_name = peer_name;
  result.spread = pair.ours.spread;
  std::fprintf(stderr, "%s %s\n", what.c_str(), shape.c_str());
  return result;
}

std::string threads_text(unsigned threads) {
  return std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

}  // namespace volt::bench
