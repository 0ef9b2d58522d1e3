// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "libvolt/host/files.hpp"

namespace volt::run {

/// A file that is added to while a run goes on, and that an earlier start of the run may have
/// begun. After a stop all of it is told again; what stands there already is left alone, and from
/// the first difference on the file is written anew. Whoever follows its end sees it grow only, and
/// however the run was killed no piece is lost, torn or there twice.
class GrowingFile {
 public:
  /// Open for reading and writing; it is followed from its beginning.
  explicit GrowingFile(host::Fd fd) : fd_(std::move(fd)) {}

  /// The bytes that stand where the next piece goes: fewer, or none, at the end of the file.
  std::string ahead(std::size_t bytes) const;
  /// Throws Error (local_io).
  void add(std::string_view piece);
  /// Cuts off what stands behind the last piece.
  void finish();

 private:
  void cut();

  host::Fd fd_;
  std::uint64_t end_ = 0;  ///< of what was added
  bool known_ = true;      ///< whether the file may go on behind that
};

}  // namespace volt::run
