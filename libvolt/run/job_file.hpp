// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "libvolt/host/files.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/sweep.hpp"

namespace volt::run {

/// A job as a person gave it.
struct JobFile {
  schema::Job job;                     ///< without its sweep
  std::optional<schema::Sweep> sweep;  ///< whose points are not yet checked
  std::string text;                    ///< as it stands in the file
  std::string origin;                  ///< for messages
  host::Path path;                     ///< empty: standard input
  host::Path folder;                   ///< the job's paths are below it
  bool is_json = false;
};

/// Reads a job: TOML, or JSON when the name ends in .json; "-" is standard input, which is JSON
/// when it begins with '{'. `command` is called as soon as it is known to be a single command,
/// before anything in it can be wrong. Throws Error (usage, not_found, interrupted).
JobFile load_job(const std::string& path, std::stop_token stop = {},
                 const std::function<void()>& command = {});

}  // namespace volt::run
