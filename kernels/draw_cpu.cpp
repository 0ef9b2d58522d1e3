// SPDX-License-Identifier: Apache-2.0

// Drawing on a CPU: tokens are put in order as far as they are taken and no further.

#include <algorithm>

#include "network_cpu.hpp"
#include "network_functions.hpp"

namespace volt::kernels {
namespace {

// The tokens of a row in the order in which they are taken.
class Ordered {
 public:
  Ordered(std::uint64_t* places, std::uint64_t count) : places_(places), count_(count) {}

  std::uint64_t count() const { return count_; }
  std::uint64_t operator[](std::uint64_t i) {
    while (i >= sorted_) sort_more();
    return places_[i];
  }

 private:
  void sort_more() {
    const std::uint64_t end = std::min(count_, std::max<std::uint64_t>(64, 8 * sorted_));
    if (end < count_) std::nth_element(places_ + sorted_, places_ + end, places_ + count_);
    std::sort(places_ + sorted_, places_ + end);
    sorted_ = end;
  }

  std::uint64_t* places_;
  std::uint64_t count_, sorted_ = 0;
};

struct Taken {
  float sum;            ///< of p so far
  std::uint32_t token;  ///< the last
};

// Takes tokens until enough(sum). A p that leaves the sum as it is ends it, too: so do all after
// it.
template <class Enough>
Taken take(Ordered& tokens, Enough enough) {
  Taken taken = {p_at(tokens[0]), token_at(tokens[0])};
  for (std::uint64_t i = 1; i < tokens.count() && !enough(taken.sum); ++i) {
    const float sum = taken.sum + p_at(tokens[i]);
    if (sum == taken.sum) break;
    taken = {sum, token_at(tokens[i])};
  }
  return taken;
}

// `p` and `places` have room for a row each.
std::uint32_t drawn(const NetworkLoops& loops, const Draw<Checked>& job, std::uint64_t row,
                    float* p, std::uint64_t* places) {
  const std::uint64_t n = job.logits.cols;
  const float* const logits = job.logits.data + row * job.logits.stride;
  const std::uint32_t best = loops.likeliest(logits, n);
  if (best == no_token || job.temperature == 0.0f) return best;
  const float m = logits[best] / job.temperature;
  if (!is_finite(m)) return best;
  loops.probabilities(logits, n, job.temperature, m, p);
  // What is less than half of what the first p could be told from adds nothing to any sum.
  const float least = p[best] * 0x1p-25f;
  std::uint64_t count = 0;
  for (std::uint64_t j = 0; j < n; ++j) {
    places[count] = place_of(p[j], static_cast<std::uint32_t>(j));
    count += p[j] > least;
  }
  Ordered tokens(places, count);
  const float all = take(tokens, [&](float sum) { return sum >= job.top_p; }).sum;
  const float enough = drawn_by(job, row) * all;
  return take(tokens, [&](float sum) { return sum > enough; }).token;
}

}  // namespace

bool cpu_draw(Context& context, const Draw<Checked>& job) {
  const std::uint64_t n = job.logits.cols, rows = job.logits.rows;
  const bool shared = rows > 1 && rows * n >= worth_sharing;
  const std::uint64_t slots = shared ? context.pool.threads() : 1;
  const std::uint64_t bytes = slots * n * (sizeof(std::uint64_t) + sizeof(float));
  Memory& scratch = context.scratch;
  if (scratch.bytes() < bytes && !scratch.take(bytes)) return false;
  auto* const places = reinterpret_cast<std::uint64_t*>(scratch.data());
  auto* const p = reinterpret_cast<float*>(places + slots * n);
  in_slots(context, rows, shared, [&](std::uint64_t row, std::uint64_t slot) {
    job.tokens.data[row * job.tokens.stride] =
        drawn(network_loops_of(context), job, row, p + slot * n, places + slot * n);
  });
  return true;
}

}  // namespace volt::kernels
