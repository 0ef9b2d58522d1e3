// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "measured.hpp"

/// How two ways to do the same are timed beside each other.
namespace volt::bench {

/// Seconds, from some moment on.
double now();

/// Seconds of one call each.
struct Pair {
  Summary ours, peer;
};

/// Calls both in turn, several times; of no peer the summary is 0. Peers' threads go on spinning
/// for a while after a call: pauses let them fall asleep before ours are measured.
Pair in_turn(const std::function<void()>& ours, const std::function<void()>& peer);

/// A row of speeds, `work` a call on both sides; says on stderr that it is done.
Row row(const std::string& what, const std::string& shape, const std::string& unit, double work,
        const Pair& pair, const std::string& peer_name);

/// "1 thread", "2 threads"
std::string threads_text(unsigned threads);

}  // namespace volt::bench
