// SPDX-License-Identifier: Apache-2.0

#include "comparison.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace volt::gpu {
namespace {

constexpr std::uint64_t reference_steps = 4'000'000;
constexpr std::uint64_t described = 3;  // differences of an operation

std::string difference(const Bytes& got, const Bytes& expected) {
  if (got.size() != expected.size()) return "leaves another number of bytes";
  const auto first = std::mismatch(got.begin(), got.end(), expected.begin()).first;
  return "first at byte " + std::to_string(first - got.begin()) + " of " +
         std::to_string(got.size());
}

// In the Frobenius norm, of that of what is expected.
double distance(const Bytes& got, const Bytes& expected) {
  if (got.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, sum = 0;
  for (std::size_t i = 0; i < got.size(); i += sizeof(float)) {
    float a = 0, b = 0;
    std::memcpy(&a, &got[i], sizeof a);
    std::memcpy(&b, &expected[i], sizeof b);
    difference += (double{a} - double{b}) * (double{a} - double{b});
    sum += double{b} * double{b};
  }
  return difference == 0 ? 0 : std::sqrt(difference / sum);
}

Bytes run(Device& device, const Comparison::Work& work) {
  Buffers buffers(device);
  return work(buffers);
}

// What the device said, or nothing.
std::string refusal(Device& device, const Comparison::Work& work) {
  try {
    run(device, work);
    return "";
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
}

}  // namespace

Comparison::Comparison(Device& tested)
    : tested_(tested), reference_(kernels::cpu_reference()), cpu_(kernels::cpu()) {}

void Comparison::same(const std::string& operation, const std::string& what, std::uint64_t steps,
                      const Work& work, int repeats) {
  const Bytes expected = run(steps < reference_steps ? reference_ : cpu_, work);
  for (int i = 0; i < repeats; ++i) {
    try {
      const Bytes got = run(tested_, work);
      const bool equal = got == expected;
      count(operation, equal ? what : what + ": " + difference(got, expected), equal);
    } catch (const Refusal& refusal) {
      count(operation, what + ": " + refusal.what(), false);
    }
  }
}

void Comparison::near(const std::string& operation, const std::string& what, double most,
                      const Work& work) {
  const Bytes expected = run(cpu_, work);
  try {
    const double off = distance(run(tested_, work), expected);
    count(operation, what + ": off by " + std::to_string(off), off <= most);
  } catch (const Refusal& refusal) {
    count(operation, what + ": " + refusal.what(), false);
  }
}

void Comparison::refused(const std::string& operation, const std::string& what, const Work& work) {
  const std::string expected = refusal(reference_, work);
  if (expected.empty()) throw std::logic_error(operation + ": the reference does not refuse");
  const std::string got = refusal(tested_, work);
  count(operation, what + ": says '" + got + "', not '" + expected + "'", got == expected);
}

void Comparison::count(const std::string& operation, const std::string& what, bool equal) {
  auto row = std::find_if(parity_.begin(), parity_.end(),
                          [&](const bench::Parity& p) { return p.operation == operation; });
  if (row == parity_.end()) row = parity_.insert(row, {operation, 0, 0});
  ++row->cases;
  if (equal || ++row->differ > described) return;
  std::fprintf(stderr, "differs: %s, %s\n", operation.c_str(), what.c_str());
}

}  // namespace volt::gpu
