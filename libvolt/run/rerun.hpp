// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "libvolt/proof/conclusion.hpp"
#include "libvolt/run/program.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::run {

/// Runs a command again, in a folder below `place` that is removed afterwards, and compares what it
/// makes with what a receipt names. Its job may be a stranger's: it gets neither the network nor
/// any secret that is not in `given`, half of the machine's memory and of the free disk at most,
/// and an hour unless `interrupt` says otherwise. Programs that make different files each time
/// exist: when the outputs differ it is run once more, and only two runs that agree with each other
/// contradict the receipt. Throws Error (sandbox, no_device, local_io, interrupted, timeout).
proof::Rerun rerun(const schema::Job& wanted, const schema::Receipt& receipt,
                   const std::vector<inputs::Found>& found, const Given& given,
                   const host::Path& place, Sink& sink, const Interrupt& interrupt);

}  // namespace volt::run
