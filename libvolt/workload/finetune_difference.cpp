// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/finetune_difference.hpp"

#include <bit>
#include <cmath>
#include <cstdio>

namespace volt::workload {
namespace {

/// Whether two numbers have the same bits, as a NaN has with itself.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

/// Whether `a` is within `share` of `b` and a tenth, for of next to nothing a share is less than
/// bf16 tells; two numbers that are both not finite are alike.
bool near(float a, float b, double share) {
  if (!std::isfinite(a) || !std::isfinite(b)) return std::isfinite(a) == std::isfinite(b);
  return std::fabs(double{a} - b) <= share * (std::fabs(double{b}) + 0.1);
}

std::string not_right(const std::string& what, float claimed, float right) {
  return what + " " + std::to_string(claimed) + ", not " + std::to_string(right);
}

}  // namespace

std::string difference(const Finetune& finetune, ByteView claimed, ByteView right,
                       std::uint64_t unit) {
  const auto a = finetune.told_in(claimed, unit), b = finetune.told_in(right, unit);
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    const auto &x = a.steps[i], &y = b.steps[i];
    const std::string where = "step " + std::to_string(y.step);
    if (!same(x.loss, y.loss)) {
      return not_right(where + " has the loss", x.loss, y.loss);
    }
    if (!same(x.entropy, y.entropy)) {
      return not_right(where + " has the entropy", x.entropy, y.entropy);
    }
    if (!same(x.norm, y.norm) || !same(x.clip, y.clip) || x.skipped != y.skipped) {
      return where + " is not what the job gives";
    }
  }
  const std::string after = std::to_string(b.steps.back().step);
  if (a.eval && !same(a.eval->loss, b.eval->loss)) {
    return not_right("the held-out loss after step " + after + " is", a.eval->loss, b.eval->loss);
  }
  if (a.eval && !same(a.eval->confidence, b.eval->confidence)) {
    return not_right("the confidence after step " + after + " is", a.eval->confidence,
                     b.eval->confidence);
  }
  return "the state after step " + after + " is not what the job gives";
}

std::string drift(const Finetune& finetune, ByteView before, ByteView claimed, ByteView right,
                  std::uint64_t unit) {
  const Tolerance most;
  const auto a = finetune.told_in(claimed, unit), b = finetune.told_in(right, unit);
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    const auto &x = a.steps[i], &y = b.steps[i];
    const std::string where = "step " + std::to_string(y.step);
    if (!near(x.loss, y.loss, most.loss)) {
      return not_right(where + " has the loss", x.loss, y.loss);
    }
    if (!near(x.entropy, y.entropy, most.loss)) {
      return not_right(where + " has the entropy", x.entropy, y.entropy);
    }
    if (x.skipped != y.skipped || !near(x.norm, y.norm, most.norm)) {
      return not_right(where + " has a gradient of norm", x.norm, y.norm);
    }
  }
  const std::string after = " after step " + std::to_string(b.steps.back().step);
  if (a.eval && !near(a.eval->loss, b.eval->loss, most.loss)) {
    return not_right("the held-out loss" + after + " is", a.eval->loss, b.eval->loss);
  }
  if (a.eval && !near(a.eval->confidence, b.eval->confidence, most.confidence)) {
    return not_right("the confidence" + after + " is", a.eval->confidence, b.eval->confidence);
  }
  const auto drift = finetune.drift(before, claimed, right);
  const double d = finetune.furthest_d(unit);
  struct Part {
    const char* name;
    double is, most;
  };
  for (const Part& part : {Part{"what is trained has", drift.values, most.values},
                           Part{"the averages of gradients have", drift.m, most.m},
                           Part{"the averages of their squares have", drift.v, most.v},
                           Part{"FlyLoRA's d has", drift.d, d}}) {
    // A NaN is not within anything.
    if (part.is <= part.most) continue;
    char text[160];
    std::snprintf(text, sizeof text, "%s drifted by %.3g%s, more than %.3g", part.name, part.is,
                  after.c_str(), part.most);
    return text;
  }
  return {};
}

}  // namespace volt::workload
