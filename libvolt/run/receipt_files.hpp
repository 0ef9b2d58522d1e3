// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "libvolt/inputs/inputs.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/receipt.hpp"

/// What lies around a receipt: its folder, and the inputs that it names by digest.
namespace volt::run {

/// A receipt with its folder: `path` may name either.
struct Loaded {
  host::Path folder;
  schema::SignedReceipt receipt;
};
Loaded load_receipt(const host::Path& path);

/// The job beside the receipt. Throws Error: not_found; verification_failed when it is not the one
/// that the receipt names, or no job.
schema::Job load_resolved_job(const Loaded& loaded);

/// The input files that a receipt names, found by digest, and the names of those that were not.
struct InputFiles {
  std::vector<inputs::Found> found;
  std::vector<std::string> missing;
};
/// "inputs a, b were not found by their digests"
std::string missing_text(const InputFiles& files);
InputFiles find_inputs(const Loaded& loaded, const schema::Job& job, inputs::Places places,
                       Sink& sink, std::stop_token stop);

}  // namespace volt::run
