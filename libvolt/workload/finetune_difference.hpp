// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "libvolt/workload/finetune.hpp"

namespace volt::workload {

/// What a unit's record has otherwise than the right one, which it is not.
std::string difference(const Finetune& finetune, ByteView claimed, ByteView right,
                       std::uint64_t unit);

/// How far the profile native may be from the same unit computed again, by another library or on a
/// CPU: each number over the right one and a tenth, or as lm::Trained::Drift has it. The operands
/// of products are the same there; sums in another order, and what attention rounds on its way,
/// differ. AdamW makes much of the little by which small gradients differ in its first steps.
///
/// About five times what tests/tools/finetune-native.test comes to with products added up in
/// another order and the results of attention rounded (loss 0.0023, norm 0.0065, values 0.054, m
/// 0.022, v 0.017), and half of what operands with 3 bits of a fraction do (0.03 to 0.06, 0.13 to
/// 0.3, 0.5, 0.24 to 0.41, 0.29 to 0.36 in the first unit).
struct Tolerance {
  double loss = 0.01;  ///< and entropy, and those of the held-out samples
  double confidence = 0.01;
  double norm = 0.05;
  double values = 0.25;
  double m = 0.1, v = 0.1;
};

/// What of a unit's record is further from the right one than the tolerance; empty: nothing.
/// `before` is the record that both began with.
std::string drift(const Finetune& finetune, ByteView before, ByteView claimed, ByteView right,
                  std::uint64_t unit);

}  // namespace volt::workload
