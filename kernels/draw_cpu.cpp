// SPDX-License-Identifier: Apache-2.0

// Drawing on a CPU: tokens that can be taken are sorted by the digits of their p.

#include <utility>

#include "network_cpu.hpp"
#include "network_functions.hpp"

namespace volt::kernels {
namespace {

// The tokens of a row in the order in which they are taken; there is room for n twice.
class Ordered {
 public:
  Ordered(const float* p, std::uint64_t n, std::uint32_t best, std::uint64_t* room)
      : places_(room) {
    // What is 2^25 times less than the first p is less than half of any sum's last place: it adds
    // nothing.
    const float least = p[best] * 0x1p-25f;
    for (std::uint64_t j = 0; j < n; ++j) {
      places_[count_] = place_of(p[j], static_cast<std::uint32_t>(j));
      count_ += p[j] > least;
    }
    std::uint64_t* other = room + n;
    const std::uint64_t first = place_of(p[best], 0);
    for (std::uint32_t shift = 32; shift < 32 + 3 * digit_bits; shift += digit_bits) {
      sort(places_, other, first, shift);
      std::swap(places_, other);
    }
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t operator[](std::uint64_t i) const { return places_[i]; }

 private:
  // Three digits tell all of those p apart.
  static constexpr std::uint32_t digit_bits = 10, digits = 1 << digit_bits;
  static_assert(25 << 23 < 1 << 3 * digit_bits);

  // By one digit of how far they are behind the first. What has it in common stays in order.
  void sort(const std::uint64_t* from, std::uint64_t* to, std::uint64_t first,
            std::uint32_t shift) const {
    std::uint64_t begin[digits + 1] = {};
    const auto digit = [&](std::uint64_t place) { return (place - first) >> shift & (digits - 1); };
    for (std::uint64_t i = 0; i < count_; ++i) ++begin[digit(from[i]) + 1];
    for (std::uint32_t i = 1; i < digits; ++i) begin[i] += begin[i - 1];
    for (std::uint64_t i = 0; i < count_; ++i) to[begin[digit(from[i])]++] = from[i];
  }

  std::uint64_t* places_;
  std::uint64_t count_ = 0;
};

struct Taken {
  float sum;            ///< of p so far
  std::uint32_t token;  ///< the last
};

// Takes tokens until enough(sum). A p that leaves the sum as it is ends it, too: so do all after
// it.
template <class Enough>
Taken take(const Ordered& tokens, Enough enough) {
  Taken taken = {p_at(tokens[0]), token_at(tokens[0])};
  for (std::uint64_t i = 1; i < tokens.count() && !enough(taken.sum); ++i) {
    const float sum = taken.sum + p_at(tokens[i]);
    if (sum == taken.sum) break;
    taken = {sum, token_at(tokens[i])};
  }
  return taken;
}

/// Memory for a row: p, and places twice.
struct Scratch {
  Scratch(std::byte* memory, std::uint64_t slot, std::uint64_t n)
      : places(reinterpret_cast<std::uint64_t*>(memory + slot * bytes(n))),
        p(reinterpret_cast<float*>(places + 2 * n)) {}
  static std::uint64_t bytes(std::uint64_t n) {
    return ceil_div(n * (2 * sizeof(std::uint64_t) + sizeof(float)), 64) * 64;
  }
  std::uint64_t* places;
  float* p;
};

std::uint32_t drawn(const NetworkLoops& loops, const Draw<Checked>& job, std::uint64_t row,
                    const Scratch& scratch) {
  const std::uint64_t n = job.logits.cols;
  const float* const logits = job.logits.data + row * job.logits.stride;
  const std::uint32_t best = loops.likeliest(logits, n);
  if (best == no_token || job.temperature == 0.0f) return best;
  const float m = logits[best] / job.temperature;
  if (!is_finite(m)) return best;
  loops.probabilities(logits, n, job.temperature, m, scratch.p);
  const Ordered tokens(scratch.p, n, best, scratch.places);
  const float all = take(tokens, [&](float sum) { return sum >= job.top_p; }).sum;
  const float enough = drawn_by(job, row) * all;
  return take(tokens, [&](float sum) { return sum > enough; }).token;
}

}  // namespace

bool cpu_draw(Context& context, const Draw<Checked>& job) {
  const std::uint64_t n = job.logits.cols, rows = job.logits.rows;
  const bool shared = rows > 1 && rows * n >= worth_sharing;
  const std::uint64_t slots = shared ? context.pool.threads() : 1;
  const std::uint64_t bytes = slots * Scratch::bytes(n);
  Memory& memory = context.scratch;
  if (memory.bytes() < bytes && !memory.take(bytes)) return false;
  in_slots(context, rows, shared, [&](std::uint64_t row, std::uint64_t slot) {
    job.tokens.data[row * job.tokens.stride] =
        drawn(network_loops_of(context), job, row, Scratch(memory.data(), slot, n));
  });
  return true;
}

}  // namespace volt::kernels
