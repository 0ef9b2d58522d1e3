// SPDX-License-Identifier: Apache-2.0

#include "race.hpp"

#include <chrono>
#include <vector>

namespace volt::gpu {
namespace {

using Clock = std::chrono::steady_clock;

// A sample is long beside a launch and the wait for it (10 us), and short beside a drift of clocks.
// Warming up takes long enough for a sleeping GPU to raise its clocks.
struct Pace {
  double warm_seconds, sample_seconds;
  int samples;
};
constexpr Pace full_pace = {0.2, 0.02, 11}, quick_pace = {0, 0.0005, 3};

class Runner {
 public:
  explicit Runner(const Contestant& contestant) : contestant_(contestant) {}

  /// Warms up, and finds how many calls a sample takes.
  void prepare(const Pace& pace) {
    run();  // loads code, makes scratch memory
    double past = 0;
    for (double last = 0; last < pace.sample_seconds || past < pace.warm_seconds; past += last) {
      last = run();
      if (last < pace.sample_seconds) calls_ *= 2;
    }
  }

  /// Seconds a call.
  double sample() { return run() / calls_; }

 private:
  double run() {
    const Clock::time_point start = Clock::now();
    for (unsigned i = 0; i < calls_; ++i) contestant_.start(turn_++);
    contestant_.wait();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  const Contestant& contestant_;
  unsigned calls_ = 1, turn_ = 0;
};

}  // namespace

void race(bench::Row& row, double work, const Contestant& ours,
          const std::optional<Contestant>& peer, Extent extent) {
  const Pace pace = extent == Extent::full ? full_pace : quick_pace;
  Runner our_runner(ours);
  std::optional<Runner> peer_runner;
  our_runner.prepare(pace);
  if (peer) peer_runner.emplace(*peer).prepare(pace);
  std::vector<double> our_speeds, peer_speeds;
  for (int i = 0; i < pace.samples; ++i) {
    our_speeds.push_back(work / our_runner.sample());
    if (peer) peer_speeds.push_back(work / peer_runner->sample());
  }
  const bench::Summary summary = bench::summarise(our_speeds);
  row.ours = summary.median;
  row.spread = summary.spread;
  if (peer) row.peer = bench::summarise(peer_speeds).median;
}

}  // namespace volt::gpu
