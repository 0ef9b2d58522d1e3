// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/lm/training.hpp"

/// states.bin, the file of a training's states and of what its steps told (volt-receipt(5)).
namespace volt::workload {

/// Where things are in states.bin: units + 1 records of one size (volt-receipt(5)). A training that
/// its rule may end early has these at most; what until() gives of them once it has ended.
struct Records {
  std::uint64_t units = 0, span = 0, steps = 0;
  std::uint64_t state_bytes = 0;
  bool evaluates = false;

  std::uint64_t told_bytes() const;  ///< what unit told, before padding
  std::uint64_t state_room() const;  ///< with its padding to whole pages
  std::uint64_t record_bytes() const;
  std::uint64_t bytes() const { return (units + 1) * record_bytes(); }
  std::uint64_t first_step(std::uint64_t unit) const { return (unit - 1) * span; }
  std::uint64_t steps_of(std::uint64_t unit) const;
  Records until(std::uint64_t unit) const;  ///< of a training that ends after `unit`
};

/// Of a record's pages, and of a file's.
struct RecordRoots {
  Digest state, told;
};
/// Roots of record `index`, from the leaf digests of all pages so far.
RecordRoots roots_of(const Records& records, std::uint64_t index, std::span<const Digest> pages);
/// The leaves of the trace, one a unit.
std::vector<Digest> trace_leaves(const Records& records, std::span<const Digest> pages);

/// What a step told as it lies there, in little-endian fields, and what the held-out samples did.
inline constexpr std::uint64_t step_bytes = 56, eval_bytes = 24;
void write(const lm::StepTold& told, std::uint8_t* to);
void write(const lm::EvalTold& told, std::uint8_t* to);
lm::StepTold read_step(const std::uint8_t* from);
lm::EvalTold read_eval(const std::uint8_t* from);

}  // namespace volt::workload
