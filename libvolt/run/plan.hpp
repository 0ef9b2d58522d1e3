// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/run/run.hpp"

namespace volt::run {

/// What a training would take, and whether it fits here.
struct PlanOutcome {
  doc::Value::Object document;  ///< volt.plan/1
  std::string text;             ///< the same for people, lines that begin with a word
  Exit exit = Exit::ok;         ///< or what the run would be refused with
};

/// Finds the inputs, has a worker count and, if it fits, take a few small steps; nothing is
/// written. Throws Error: usage (the job is no training), and as run_job() does.
PlanOutcome plan_job(const JobFile& file, const Options& options, Sink& sink,
                     const Interrupt& interrupt);

}  // namespace volt::run
