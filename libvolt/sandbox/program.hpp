// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "libvolt/doc/value.hpp"
#include "libvolt/host/files.hpp"

namespace volt::sandbox {

/// What to run, and what it may have.
struct Program {
  std::vector<std::string> argv;  ///< argv[0] is looked for in PATH unless it has a '/'
  std::vector<std::pair<std::string, std::string>> environment;  ///< all of it, but for PATH, HOME
                                                                 ///< and TMPDIR, if not named
  /// Holds work/ (where it starts), tmp/ and home/, which it may write, and inputs/, which it may
  /// read.
  host::Path scratch;
  std::vector<host::Path> shown;     ///< files and folders of this machine, read-only
  std::vector<std::string> devices;  ///< nodes below /dev
  bool network = false;
  std::uint32_t user = 0;  ///< whom it runs as; 0: who starts it

  std::uint64_t tasks = 0;         ///< processes and threads, 0: as many as the system allows
  std::uint64_t file_bytes = 0;    ///< longest file, 0: no limit
  std::uint64_t shared_bytes = 0;  ///< of /dev/shm, where it has one of its own
};

/// As the supervisor is told it.
doc::Value to_value(const Program& program);
Program parse_program(const doc::Value& value);

}  // namespace volt::sandbox
