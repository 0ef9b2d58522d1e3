// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/measured.hpp"
#include "device.hpp"

namespace volt::gpu {

/// One backend against the CPU, case by case. Differences are counted by operation; the first few
/// of each are described on stderr. A backend that refuses where the CPU does not differs, too.
class Comparison {
 public:
  explicit Comparison(Device& tested);

  /// Makes its operands in the buffers, does the work, and returns all that it left, with the
  /// memory around results. It is run on both sides and must not depend on anything else.
  using Work = std::function<Bytes(Buffers&)>;

  /// `steps` is about how many multiplications (or elements) the work has: the scalar reference
  /// does it where that takes milliseconds, and otherwise cpu(), which has the same bits. Throws
  /// the Refusal of the CPU: a case must be able to fail. Each of `repeats` times counts.
  void same(const std::string& operation, const std::string& what, std::uint64_t steps,
            const Work& work, int repeats = 1);
  /// As `same`, where results are fp32 and need only be near those of cpu(): their difference is at
  /// most `most` of them, in the Frobenius norm.
  void near(const std::string& operation, const std::string& what, double most, const Work& work);
  /// The same words must refuse the work on both sides.
  void refused(const std::string& operation, const std::string& what, const Work& work);

  /// A case that was compared elsewhere.
  void count(const std::string& operation, const std::string& what, bool equal);

  Device& tested() { return tested_; }
  Device& cpu() { return cpu_; }
  const std::vector<bench::Parity>& parity() const { return parity_; }

 private:
  Device& tested_;
  Device reference_, cpu_;
  std::vector<bench::Parity> parity_;
};

}  // namespace volt::gpu
