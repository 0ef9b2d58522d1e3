// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/host/process.hpp"

/// The runs that were started here. An index keeps who was started where, and no more: how a run
/// stands is read from its folder each time, as what a stranger may have written.
namespace volt::run {

enum class State {
  running,
  done,
  failed,
  limit,        ///< ended by a limit of its job
  interrupted,  ///< by a person, in order
  stopped,      ///< killed, and nothing was written of it
};
std::string_view to_text(State state);

/// How a start of a run ended, by its run.json.
struct Report {
  std::string ended;  ///< "program", "limit", "volt", "interrupted"
  int status = 0;     ///< what gpu-run ended with, but for --exit-class
  Exit exit = Exit::failure;
  std::string name, workload, started;
  std::string error, hint;  ///< empty when a program ended by itself
  std::uint64_t attempt = 1, elapsed_ns = 0;
  std::uint64_t peak_memory_bytes = 0;  ///< 0 when not known
};
/// nullopt when there is none, or none that volt would have written.
std::optional<Report> report_of(const host::Path& folder);

/// Whether a process works in the folder. Throws Error (local_io) when that is not to be known.
bool is_running(const host::Path& folder);
State state_of(const host::Path& folder);
/// Of one that ended so.
State state_of(std::string_view ended, int status);

struct Run {
  std::string id;
  host::Path folder;  ///< absolute
  std::string name, workload;
  std::string job;      ///< its file, "-" for standard input; empty when not known
  std::string started;  ///< the latest start, RFC 3339
  std::optional<host::ProcessName> process;
};

/// A folder's path without links, and the id of whatever run is in it: 12 hex digits.
host::Path real_folder(const host::Path& folder);
std::string id_of(const host::Path& folder);

class Runs {
 public:
  explicit Runs(host::Path folder) : folder_(std::move(folder)) {}

  /// Notes the start of a run by this process.
  void add(Run run) const;
  /// All whose folder is still there, the latest first; the others are forgotten.
  std::vector<Run> all() const;
  /// By id or the beginning of one (4 digits or more), folder, or name: then the latest. A folder
  /// need not be in the index. Throws Error (not_found; usage when several begin so).
  Run find(const std::string& name) const;

 private:
  Run in_folder(const std::vector<Run>& known, const host::Path& folder) const;
  host::Path folder_;
};

}  // namespace volt::run
