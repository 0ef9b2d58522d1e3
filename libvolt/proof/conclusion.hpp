// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libvolt/schema/job.hpp"
#include "libvolt/schema/verdict.hpp"

namespace volt::proof {

/// What was looked at, and what came of it.
struct Examined {
  enum class How { sample, opened, all, algebra };  ///< opened: a sample by a proof, without files
  How how = How::sample;
  std::uint64_t units = 0;              ///< that there are
  std::uint64_t draws = 0;              ///< of a sample, with repetitions
  std::uint64_t checked = 0;            ///< different units looked at
  std::optional<std::string> mismatch;  ///< the first wrong one
  const char* unit = "element";         ///< what a unit is called
  bool ended_early = false;             ///< how many there are is what units told
  bool exact = true;                    ///< or else compared within a tolerance
};

/// Sets the claims `work` and `output`, which are never mixed: a sample shows that at least a share
/// of the units is right, and no more (volt-receipt(5)).
void conclude(schema::Verdict& verdict, const Examined& examined,
              const schema::ProofPolicy& policy);

/// What came of running a command again.
struct Rerun {
  std::string failure;      ///< why it came to no outputs; empty: it did
  std::string difference;   ///< how they differ from the receipt's; empty: not at all
  bool repeatable = false;  ///< a second run gave the same other outputs
  bool empty = false;       ///< there are no outputs to compare
};

/// The same for a command, of which a run is the only unit.
void conclude(schema::Verdict& verdict, const Rerun& rerun);

}  // namespace volt::proof
