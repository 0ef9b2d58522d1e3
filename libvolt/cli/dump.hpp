// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libvolt/cli/tool.hpp"

/// What the build makes from the option table.
namespace volt::cli {

/// The text of --dump FORMAT.
std::string dump(const Tool& tool, std::string_view format);

/// mdoc: the lines of .Sh SYNOPSIS; whole .Sh OPTIONS and .Sh VERBS; lists for CONFIGURATION and
/// for volt-exit(7), without their headings.
std::string man_synopsis(const Tool& tool);
std::string man_options(const Tool& tool);
std::string man_settings(const Tool& tool);
std::string man_exit();

/// Scripts that need nothing but their shell.
std::string bash_completion(const Tool& tool);
std::string zsh_completion(const Tool& tool);
std::string fish_completion(const Tool& tool);

/// The whole table as volt.tool/1, for the tests.
std::string table_json(const Tool& tool);

std::string escape_roff(std::string_view text);  ///< for a text line
std::string quote_roff(std::string_view text);   ///< for an argument of a macro
std::string quote_shell(std::string_view text);  ///< bash and zsh: always in single quotes
std::string quote_fish(std::string_view text);
std::string escape_zsh(std::string_view text);  ///< within an _arguments specification

/// What the three scripts have in common.
struct Completions {
  explicit Completions(const Tool& tool);

  std::string function;                  ///< "_gpu_run"
  std::vector<std::string> with_values;  ///< names of all options that take one
  std::vector<std::string> verbs;
  std::vector<std::string> first_words;  ///< verbs and groups
  std::vector<Option> common;            ///< only to be described: their targets are gone
  std::vector<Option> of(const std::vector<Option>& own) const;  ///< with the common ones
  std::vector<std::string> seconds(const Tool& tool, std::string_view group) const;
};

std::string help_of(const Tool& tool, std::string_view first_word);  ///< of a verb or a group

}  // namespace volt::cli
