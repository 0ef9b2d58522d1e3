// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "cpu.hpp"
#include "loops.hpp"
#include "network_engine.hpp"
#include "network_loops.hpp"

/// What the parts of the fast CPU backend's network operations share.
namespace volt::kernels {

extern const NetworkEngine network_cpu;

inline const NetworkLoops& network_loops_of(const Context& context) {
  return *context.engine.loops->network;
}

/// Calls work(i, slot) for every i < count, in any order; no two at a time have the same slot, of
/// which there are as many as threads, or one.
template <class Work>
void in_slots(Context& context, std::uint64_t count, bool shared, Work work) {
  std::atomic<std::uint64_t> next{0};
  context.pool.each(shared ? context.pool.threads() : 1u, shared, [&](std::uint64_t slot) {
    for (std::uint64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      work(i, slot);
    }
  });
}

// The rows of NetworkEngine with the same names.
bool cpu_attention(Context& context, const Attention<Checked>& job);
bool cpu_attention_backward(Context& context, const AttentionBackward<Checked>& job);
bool cpu_draw(Context& context, const Draw<Checked>& job);

}  // namespace volt::kernels
