// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/cli/tool.hpp"

namespace volt::cli {

/// The options that every tool and every verb has.
struct Common {
  bool help = false, version = false, json = false, quiet = false, show_config = false;
  std::optional<std::string> dump;  ///< hidden: for the build and the tests
};

/// The common options that people see; their targets lie in `common`.
std::vector<Option> common_options(Common& common);
Option dump_option(Common& common);

bool is_positional(const Option& option);
bool takes_value(const Option& option);  ///< false for a flag
bool repeats(const Option& option);      ///< may be given more than once
bool is_number(const Option& option);

std::string letter(const Option& option);      ///< "-o", or empty
std::string word(const Option& option);        ///< "--output", or empty
std::string value_name(const Option& option);  ///< "DIR"; of a positional without one "JOB"
std::string name_of(const Option& option);     ///< for messages: "--output", "-o", "JOB"

/// What the shell may offer as the value.
enum class Complete { nothing, choices, file, folder };
Complete completion(const Option& option);

/// One way to call a tool: without a verb, or with one.
struct Mode {
  std::string verb;     ///< empty: without
  std::string command;  ///< "gpu-run example"
  std::string summary;
  const std::vector<Option>* options;
};

/// The tool itself, if it runs without a verb, and then its verbs; all point into `tool`.
std::vector<Mode> modes(const Tool& tool);

/// "key" of the two-word verbs "key show" and "key new"; each once.
std::vector<std::string> groups(const Tool& tool);

/// The positional arguments as a synopsis has them: "JOB", "[JOB]", "[FILE]...".
std::string synopsis_word(const Option& option);

}  // namespace volt::cli
