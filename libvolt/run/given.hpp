// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libvolt/sandbox/sandbox.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::run {

/// What the person at the command line gives a program, beyond what the job says.
struct Given {
  std::optional<sandbox::Level> level;         ///< none: the best that works here
  std::vector<host::Path> shown;               ///< files and folders of this machine, read-only
  std::map<std::string, std::string> secrets;  ///< their values by name
  bool network = false;                        ///< if the job wants it
  std::string device = "auto";                 ///< which GPUs; see device::choose()
  std::function<void()> started = [] {};       ///< called when the program runs
};

/// Secrets as a person gives them: "NAME=FILE", or "NAME", which is in this process's environment.
/// Throws Error (usage, not_found, local_io).
std::map<std::string, std::string> read_secrets(const std::vector<std::string>& given);
/// The same for a job, which must name each of them, and no other: its file may be a stranger's,
/// and decides over nobody's environment.
std::map<std::string, std::string> find_secrets(const schema::Job& job,
                                                const std::vector<std::string>& given);

/// What --host-path names: folders and files, several with ':' between. Throws Error: not_found;
/// usage for one that would show more than is good, such as / or the user's keys.
std::vector<host::Path> shown_paths(const std::vector<std::string>& given);

}  // namespace volt::run
