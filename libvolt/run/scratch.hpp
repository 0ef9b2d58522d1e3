// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>
#include <vector>

#include "libvolt/inputs/inputs.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::run {

/// The folders that a command's program works in, with its inputs in place. Small ones are copied,
/// so that a file edited meanwhile spoils nothing; of large ones the program sees the file itself.
class Scratch {
 public:
  /// Makes `folder` anew. Throws Error: conflict when an input changes meanwhile, local_io.
  Scratch(const host::Path& folder, const schema::Job& job, const std::vector<inputs::Found>& found,
          std::stop_token stop);

  const host::Path& folder() const { return folder_; }
  host::Path work() const { return folder_ / "work"; }
  /// What the program has written, counted up to `enough`; the copies of its inputs are not its.
  std::uint64_t disk_bytes(std::uint64_t enough) const;
  /// Inputs that are not copied.
  const std::vector<host::Path>& in_place() const { return in_place_; }

  /// Takes the inputs' links out of the working folder again, so that no pattern of the outputs
  /// meets them; what the program put in their place stays.
  void remove_links(const schema::Job& job) const;

 private:
  void place(const inputs::Found& input, const std::stop_token& stop);
  host::Path folder_;
  std::vector<host::Path> in_place_;
};

}  // namespace volt::run
