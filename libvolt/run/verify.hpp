// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libvolt/crypto/key_store.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/schema/challenge.hpp"
#include "libvolt/schema/receipt.hpp"
#include "libvolt/schema/verdict.hpp"

/// From a receipt to a verdict. Documents and digests are examined here; tensors in a worker.
namespace volt::run {

struct VerifyOptions {
  host::Path path;                 ///< run folder, or receipt
  std::vector<host::Path> inputs;  ///< files, and folders to search for inputs by digest
  std::optional<std::string> signer;
  std::optional<std::string> level;  ///< L0, L2, L4, all; default: what the job demands
  std::string challenge, proof;      ///< files; empty: the outputs themselves are examined
  device::Wanted device;
  inputs::Places places;  ///< cache and network
  host::Path seen;        ///< file that remembers results, empty: none
};

struct Verified {
  schema::Verdict verdict;
  schema::Demand demand = schema::Demand::identity;
  std::optional<schema::Receipt> receipt;
};

/// Never throws for what a receipt, proof or challenge says: that becomes a claim that fails.
/// Throws Error for what keeps it from looking (not_found, no_device, interrupted, ...).
Verified verify(const VerifyOptions& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt);

/// A receipt with its folder: `path` may name either.
struct Loaded {
  host::Path folder, receipt_path;
  schema::SignedReceipt receipt;
};
Loaded load_receipt(const host::Path& path);

/// The input files that a receipt names, found by digest, and the names of those that were not.
struct InputFiles {
  std::vector<inputs::Found> found;
  std::vector<std::string> missing;
};
InputFiles find_inputs(const Loaded& loaded, const schema::Job& job, const VerifyOptions& options,
                       Sink& sink, const Interrupt& interrupt);

/// The envelope of a fresh challenge, signed with the own key.
std::string make_challenge(const host::Path& receipt, std::optional<std::uint64_t> draws,
                           crypto::KeyStore& keys);

/// Answers a challenge to the run in `options.path`: writes the proof to `out`, after telling its
/// size. Data pages show the job's data. Returns the bytes written.
std::uint64_t prove(const host::Path& challenge, int out, const VerifyOptions& options, Sink& sink,
                    const Interrupt& interrupt);

}  // namespace volt::run
