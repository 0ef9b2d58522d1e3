// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/cli/parse.hpp"
#include "libvolt/cli/settings.hpp"

namespace volt::cli {

/// Converts `texts` (several only for a vector) into the option's target; a flag takes none, or
/// "true" or "false". `name` says who gave it, in messages: "--threads", "VOLT_THREADS". Throws
/// Error (usage) on a number that is not strict and on what is not among the choices.
void assign(const Option& option, std::span<const std::string> texts, std::string_view name);

/// One setting as --show-config prints it.
struct Row {
  std::string key;
  std::optional<std::string> value;  ///< nullopt: not set
  std::string origin;                ///< "--device", "VOLT_DEVICE", "/etc/...:3", "default"
};

using Configuration = std::map<std::string, Origin, std::less<>>;

/// Fills the targets of the chosen mode's options: a flag of the command line wins over the
/// configuration, which wins over what the target holds already. Returns a row for every setting
/// that the mode's options name; with `all_verbs`, and without a verb, also those of all verbs.
std::vector<Row> apply(const Tool& tool, const CommandLine& line,
                       const Configuration& configuration, bool all_verbs = false);

/// Throws Error (usage) when a required option of the chosen mode was given by nobody, or a verb is
/// missing.
void demand(const Tool& tool, const CommandLine& line, const Configuration& configuration);

}  // namespace volt::cli
