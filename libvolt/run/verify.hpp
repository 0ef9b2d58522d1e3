// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "libvolt/crypto/key_store.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "libvolt/run/program.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/schema/receipt.hpp"
#include "libvolt/schema/verdict.hpp"

/// From a receipt to a verdict. Documents and digests are examined here; tensors in a worker.
namespace volt::run {

struct VerifyOptions {
  host::Path path;  ///< run folder, or receipt
  std::optional<std::string> signer;
  std::optional<std::string> level;  ///< L0, L2, L4, all; default: what the job demands
  std::string job;                   ///< the verifier's own job file; empty: none
  std::string challenge, proof;      ///< files; empty: the outputs themselves are examined
  device::Wanted device;
  bool rerun = false;     ///< run a command's program again
  Given given;            ///< for that program
  host::Path cache;       ///< and a place to run it in
  inputs::Places places;  ///< where to look for inputs
  host::Path seen;        ///< file that remembers results, empty: none
};

struct Verified {
  schema::Verdict verdict;
  schema::Demand demand = schema::Demand::identity;
};

/// Never throws for what a receipt, proof or challenge says: that becomes a claim that fails.
/// Throws Error for what keeps it from looking (not_found, no_device, interrupted, ...).
Verified verify(const VerifyOptions& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt);

}  // namespace volt::run
