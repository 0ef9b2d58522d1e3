// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/conclusion.hpp"

#include <cstdio>

#include "libvolt/proof/challenge.hpp"

namespace volt::proof {
namespace {

using schema::Answer;

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %%", 100 * share);
  return text;
}

std::string chance(double probability) {
  char text[32];
  std::snprintf(text, sizeof text, probability < 1e-3 ? "%.1e" : "%.2g", probability);
  return text;
}

}  // namespace

void conclude(schema::Verdict& verdict, const Examined& examined,
              const schema::ProofPolicy& policy) {
  const auto& e = examined;
  const std::string unit = e.unit;
  if (e.mismatch) {
    const bool sampled = e.how == Examined::How::sample || e.how == Examined::How::opened;
    verdict.set("work", sampled ? Answer::fails : Answer::cannot_tell,
                sampled ? *e.mismatch : "at least one " + unit + " is wrong");
    verdict.set("output", Answer::fails, *e.mismatch);
    return;
  }
  if (e.how == Examined::How::algebra) {
    const std::string why = "A(Br) = Cr for two random vectors, error below 1e-38";
    verdict.set("work", Answer::holds, why);
    verdict.set("output", Answer::holds, why);
    return;
  }
  if (e.how == Examined::How::all || e.checked == e.units) {
    const std::string why = "all " + std::to_string(e.checked) + " " + unit + "s computed again";
    if (!e.exact) {
      const std::string within = why +
                                 ", none further off than bf16 may be; no profile but an "
                                 "exact one settles it";
      verdict.set("work", Answer::consistent, within);
      verdict.set("output", Answer::consistent, within);
      return;
    }
    verdict.set("work", Answer::holds, why);
    if (e.how == Examined::How::opened) {
      verdict.set("output", Answer::cannot_tell,
                  "every " + unit + " is right, but the files that should hold them were not seen");
      return;
    }
    verdict.set("output", Answer::holds, why + ", each bit equal");
    return;
  }
  const double miss = chance_of_missing(e.draws, policy.catch_share);
  // The number of draws was rounded up from these two: a hair is allowed for the rounding of exp.
  const bool enough = miss <= policy.error * (1 + 1e-9);
  std::string work = std::to_string(e.checked) + " drawn " + unit + "s computed again, " +
                     (e.exact ? "all right" : "none further off than bf16 may be") + "; were " +
                     percent(policy.catch_share) + " wrong, the chance to miss it is " +
                     chance(miss);
  // A single forged unit can make the rest end it: how much was not done is not bounded.
  if (e.ended_early) work += "; that it had to end early only --all shows";
  const bool bounded = enough && !e.ended_early;
  verdict.set("work",
              !bounded  ? Answer::cannot_tell
              : e.exact ? Answer::holds
                        : Answer::consistent,
              work);
  verdict.set("output", Answer::cannot_tell,
              "a single wrong " + unit + " is caught with a chance of " +
                  percent(static_cast<double>(e.checked) / static_cast<double>(e.units)) +
                  "; --all, where the outputs are, settles it");
}

void conclude(schema::Verdict& verdict, const Rerun& rerun) {
  const auto set = [&](Answer work, Answer output, const std::string& why) {
    verdict.set("work", work, why);
    verdict.set("output", output, why);
  };
  if (!rerun.failure.empty()) {
    set(Answer::cannot_tell, Answer::cannot_tell,
        "run again, it made no outputs: " + rerun.failure);
  } else if (rerun.empty) {
    set(Answer::cannot_tell, Answer::cannot_tell,
        "run again, it ended well; it keeps no outputs to "
        "compare");
  } else if (rerun.difference.empty()) {
    set(Answer::holds, Answer::holds, "run again, it made the same outputs, each bit equal");
  } else if (rerun.repeatable) {
    set(Answer::cannot_tell, Answer::fails,
        "run again twice, it made the same outputs both times, but not those of the receipt: " +
            rerun.difference);
  } else {
    set(Answer::cannot_tell, Answer::cannot_tell,
        "run again, it made other outputs each time (" + rerun.difference +
            "): such a program cannot be checked");
  }
}

}  // namespace volt::proof
