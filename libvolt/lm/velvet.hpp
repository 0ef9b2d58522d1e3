// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace volt::lm {

/// What velvet keeps of the steps before; a state of a training ends with it, field by field. A
/// step that was skipped, or told something not finite, leaves it as it was.
struct VelvetAverages {
  std::uint32_t taken = 0;                  ///< steps
  float weight = 1;                         ///< w
  float entropy = 0, loss = 0;              ///< a of each
  float first_entropy = 0, first_loss = 0;  ///< E and L, 0 until they are known

  bool operator==(const VelvetAverages&) const = default;
};
static_assert(sizeof(VelvetAverages) == 24);

/// The optimizer velvet: AdamW whose learning rate and beta1 follow what earlier steps told. The
/// idea is that of github.com/thevesperhouse-hub/VelvetOptimizer; the rule is not.
///
/// A step tells its mean loss and the mean entropy of the softmax, in nats, over the predicted
/// tokens. Both are averaged over about 50 steps, AdamW's way: from a = 0 and w = 1,
///   w' = 0.98 w,  a' = 0.98 a + (1 - 0.98) x,  and the average is a' / (1 - w')
/// Until as many steps are taken as the reference has, all is AdamW's. The averages after the last
/// of these are the reference, E and L; from the next step on, with the present ones e and l,
///   rate   the schedule's times e / E, which is held within 0.7 and 1.3 (1 where E is not above 0)
///   beta1  the usual one + 0.05 (L - l), held within 0.8 and 0.95: L - l is the logarithm of a
///          ratio of perplexities, so that one halved and one doubled count the same
/// in fp32, every sign one rounding. No element of what is trained has a say: none is left out.
class Velvet {
 public:
  /// Which of both adapt. Without either it is AdamW, bit for bit.
  struct Parts {
    bool rate = true, beta1 = true;
  };
  /// Of a training of so many steps, the first `warmup` of them its warm-up: the reference is as
  /// long, but at least 10 steps; then at most a tenth of all, and at least one.
  Velvet(Parts parts, std::uint64_t warmup, std::uint64_t steps);

  /// The next step's learning rate and beta1, from the schedule's and the usual one.
  float rate(float scheduled) const;
  float beta1(float usual) const;
  /// Takes what a step told.
  void take(float loss, float entropy);

  VelvetAverages averages;

 private:
  bool adapts() const { return averages.taken >= reference_; }

  Parts parts_;
  std::uint32_t reference_;
};

}  // namespace volt::lm
