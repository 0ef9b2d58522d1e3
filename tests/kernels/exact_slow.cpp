// SPDX-License-Identifier: Apache-2.0

// The errors that elementary.hpp states, over every float and every phase: minutes. ./dev slow.

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <mutex>
#include <thread>

#include "oracle.hpp"

namespace volt::kernels::test {
namespace {

constexpr std::uint64_t slice = 1 << 20;

// The floats in ascending order, negative NaNs first.
float ordered(std::uint32_t rank) {
  return std::bit_cast<float>((rank & 0x80000000u) != 0 ? rank ^ 0x80000000u : ~rank);
}

// The largest of what a test finds, and where. Order of arrival must not matter.
template <class At>
class Worst {
 public:
  void see(double error, At at) {
    if (error > error_ || (error == error_ && at < at_)) {
      error_ = error;
      at_ = at;
    }
  }
  void see(const Worst& other) { see(other.error_, other.at_); }
  double error() const { return error_; }
  At at() const { return at_; }

 private:
  double error_ = 0;
  At at_ = std::numeric_limits<At>::max();
};

// Calls work(session, first, end) for all slices of 2^32, each core with a context of its own. A
// slice starts with the last element of the one before, so that neighbours can be compared.
template <class Work>
void over_all(Work work) {
  std::atomic<std::uint64_t> next{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t at; (at = next.fetch_add(slice)) < std::uint64_t{1} << 32;) {
        Session s(cpu());
        work(s, at == 0 ? 0 : at - 1, at + slice);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<float> floats(std::uint64_t first, std::uint64_t end) {
  std::vector<float> x;
  for (std::uint64_t i = first; i < end; ++i) x.push_back(ordered(static_cast<std::uint32_t>(i)));
  return x;
}

}  // namespace

TEST_CASE("the elementary functions over all floats: error and monotonicity") {
  for (const Elementary& e : elementary) {
    CAPTURE(std::string(e.name));
    std::mutex mutex;
    Worst<float> worst;
    std::uint64_t reversals = 0;
    over_all([&](Session& s, std::uint64_t first, std::uint64_t end) {
      const auto x = floats(first, end);
      const auto y = mapped<float>(s, e.function, x);
      Worst<float> here;
      std::uint64_t against = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        here.see(ulps(y[i], e.exact(static_cast<double>(x[i]))), x[i]);
        // rsqrt falls on either side of zero, not across
        const bool pole = i > 0 && x[i] == 0 && x[i - 1] == 0;
        if (i > 0 && !pole && (e.direction > 0 ? y[i] < y[i - 1] : y[i] > y[i - 1])) ++against;
      }
      const std::lock_guard lock(mutex);
      worst.see(here);
      reversals += against;
    });
    std::fprintf(stderr, "%-8s %.4f ulp at %a\n", e.name, worst.error(),
                 static_cast<double>(worst.at()));
    CHECK(worst.error() <= e.ulps);
    CHECK(worst.error() > e.ulps - 0.1);  // what is stated is not vague
    CHECK(reversals == 0);
  }
}

TEST_CASE("sine and cosine over 2^32 phases") {
  std::mutex mutex;
  Worst<std::uint64_t> worst;
  over_all([&](Session& s, std::uint64_t first, std::uint64_t end) {
    std::vector<std::uint64_t> phases;  // all upper halves, with all lower ones
    for (std::uint64_t i = first; i < end; ++i) phases.push_back(i << 32 | (i ^ 0xffffffffu));
    const auto sines = mapped<float>(s, Function::sin_turns, phases);
    const auto cosines = mapped<float>(s, Function::cos_turns, phases);
    Worst<std::uint64_t> here;
    for (std::size_t i = 0; i < phases.size(); ++i) {
      here.see(std::fabs(static_cast<double>(sines[i]) - sine(phases[i])), phases[i]);
      here.see(std::fabs(static_cast<double>(cosines[i]) - sine(phases[i] + quarter_turn)),
               phases[i]);
    }
    const std::lock_guard lock(mutex);
    worst.see(here);
  });
  std::fprintf(stderr, "sine and cosine: 2^%.2f at phase %#" PRIx64 "\n", std::log2(worst.error()),
               worst.at());
  CHECK(worst.error() <= turns_error);
}

TEST_CASE("every float to 16 bits") {
  for (const Format& format : formats) {
    std::atomic<std::uint64_t> wrong{0};
    over_all([&](Session& s, std::uint64_t first, std::uint64_t end) {
      const auto x = floats(first, end);
      const auto narrow = mapped<std::uint16_t>(s, format.to, x);
      const auto wide = mapped<float>(s, format.from, narrow);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const bool right = std::isnan(x[i]) ? narrow[i] == format.nan
                                            : static_cast<double>(wide[i]) ==
                                                      rounded(format, static_cast<double>(x[i])) &&
                                                  std::signbit(wide[i]) == std::signbit(x[i]);
        if (!right) ++wrong;
      }
    });
    CHECK(wrong == 0);
  }
}

}  // namespace volt::kernels::test
