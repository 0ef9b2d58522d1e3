// SPDX-License-Identifier: Apache-2.0

#include "comparison.hpp"

#include <algorithm>
#include <cstdio>

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
