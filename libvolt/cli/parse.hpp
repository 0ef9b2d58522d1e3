// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "libvolt/cli/tool.hpp"

namespace volt::cli {

/// An option that stood on the command line, with its texts as they were (none for a flag).
struct Given {
  const Option* option;
  std::vector<std::string> texts;
};

struct CommandLine {
  const Verb* verb = nullptr;  ///< null: the tool itself
  std::vector<Given> given;    ///< each option once

  const Given* find(const Option& option) const;
};

/// Sorts `args` (without the program's name) into the verb, its options and `common`. Words that
/// follow `--` are never options or verbs. Throws Error (usage) on what the table does not know and
/// on an option given twice; values are neither converted nor missed here, see values.hpp. The
/// result points into `tool` and `common`.
CommandLine parse(const Tool& tool, std::span<const Option> common,
                  std::span<const std::string> args);

/// "try gpu-run example --help"
std::string try_help(const Tool& tool, const Verb* verb);

}  // namespace volt::cli
