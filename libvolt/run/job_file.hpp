// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "libvolt/host/files.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::run {

/// A job as a person gave it.
struct JobFile {
  schema::Job job;
  std::string text;    ///< as it stands in the file
  std::string origin;  ///< for messages
  host::Path path;     ///< empty: standard input
  host::Path folder;   ///< the job's paths are below it
};

/// Reads a job: TOML, or JSON when the name ends in .json; "-" is standard input. `command` is
/// called as soon as it is known to be a command, before anything in it can be wrong. Throws Error
/// (usage, not_found, interrupted).
JobFile load_job(const std::string& path, std::stop_token stop = {},
                 const std::function<void()>& command = {});

}  // namespace volt::run
