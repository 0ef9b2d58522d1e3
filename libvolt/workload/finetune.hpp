// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/event.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/model_file.hpp"
#include "libvolt/lm/training.hpp"
#include "libvolt/schema/job.hpp"

/// The finetune workload. Its units are spans of steps, each a pure function of the job, its inputs
/// and the state before it. Runner and verifier call the same code.
namespace volt::workload {

/// What a unit told: its steps, and the held-out samples after the last of them.
struct UnitTold {
  std::vector<lm::StepTold> steps;
  std::optional<lm::EvalTold> eval;
};

/// Where things are in states.bin: units() + 1 records of one size (volt-receipt(5)).
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
};

/// Of a record's pages, and of a file's.
struct RecordRoots {
  Digest state, told;
};
/// Roots of record `index`, from the leaf digests of all pages so far.
RecordRoots roots_of(const Records& records, std::uint64_t index, std::span<const Digest> pages);
/// The leaves of the trace, one a unit.
std::vector<Digest> trace_leaves(const Records& records, std::span<const Digest> pages);

/// A training made of what a job names.
class Finetune {
 public:
  /// `folder` are the files of the model's folder, or of the new model's tokenizer, and `data` the
  /// training data, which must outlive it. Tells the sink what was read. Throws Error (usage,
  /// not_found, no_device).
  Finetune(const schema::Finetune& job, const lm::Files& folder, ByteView data,
           device::Device& device, Sink& sink);
  ~Finetune();

  const Records& records() const;

  /// Record 0, and then each: units must be run in their order, or after go_on_from().
  Bytes begin();
  /// Runs a unit, counted from 1, and returns its record. `stepped` is called after each step.
  Bytes run(std::uint64_t unit, const std::function<void(const lm::StepTold&)>& stepped);
  /// Makes the state in record `unit` the present one. Throws Error (usage) if it is none.
  void go_on_from(ByteView record);
  UnitTold told_in(ByteView record, std::uint64_t unit) const;

  /// What of unit's telling follows from the job alone and is not so: order, counts, schedule.
  /// Empty when all is as it should be.
  std::string contradiction(ByteView before, ByteView record, std::uint64_t unit);

  /// Puts the bytes of an output beside the states, by its name, of the present state.
  void put_output(std::string_view output, const lm::Put& put) const;

  std::uint64_t trained_elements() const;
  double multiply_adds(std::uint64_t tokens) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace volt::workload
