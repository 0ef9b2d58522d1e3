// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/schema/job.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::proof {

/// Why the receipt is not one that an honest runner makes of this job: counts, shapes, names,
/// seeds, pins, profile, trace. Empty when it may be. What is found here needs no replay.
std::string contradiction(const schema::Receipt& receipt, const schema::Job& job);

/// The trace of a command: its one leaf is the manifest of its outputs.
Digest command_trace(const std::vector<schema::OutputRecord>& outputs);

/// The first key in which two jobs differ, such as "matmul.a.path"; empty when they are one job.
std::string difference(const schema::Job& one, const schema::Job& other);

}  // namespace volt::proof
