// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/table.hpp"

#include <algorithm>
#include <cctype>

#include "libvolt/base/text.hpp"

namespace volt::cli {
namespace {

template <class T>
bool holds(const Option& option) {
  return std::holds_alternative<T>(option.target);
}

}  // namespace

std::vector<Option> common_options(Common& common) {
  return {
      {"-h,--help", &common.help, "", "print this help"},
      {"--version", &common.version, "", "print the version and what it was built with"},
      {"--json", &common.json, "", "print JSON only, one document or one event a line"},
      {"-q,--quiet", &common.quiet, "", "no progress and no talk but warnings and errors"},
      {"--show-config", &common.show_config, "", "print each setting, its value and its origin"},
  };
}

Option dump_option(Common& common) {
  return {
      "--dump", &common.dump,
      "FORMAT", "print the option table",
      {},       {"man", "man-synopsis", "man-settings", "man-exit", "bash", "zsh", "fish", "json"}};
}

bool is_positional(const Option& option) { return !option.names.starts_with('-'); }
bool takes_value(const Option& option) { return !holds<bool*>(option); }
bool repeats(const Option& option) { return holds<std::vector<std::string>*>(option); }
bool is_number(const Option& option) {
  return holds<std::uint64_t*>(option) || holds<std::optional<std::uint64_t>*>(option);
}

std::string letter(const Option& option) {
  for (const auto name : split(option.names, ',')) {
    if (name.size() == 2 && name[0] == '-' && name[1] != '-') return std::string(name);
  }
  return {};
}

std::string word(const Option& option) {
  for (const auto name : split(option.names, ',')) {
    if (name.starts_with("--")) return std::string(name);
  }
  return {};
}

std::string value_name(const Option& option) {
  if (!option.value.empty() || !is_positional(option)) return option.value;
  std::string name = option.names;
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

std::string name_of(const Option& option) {
  if (is_positional(option)) return value_name(option);
  const auto long_name = word(option);
  return long_name.empty() ? letter(option) : long_name;
}

Complete completion(const Option& option) {
  if (!option.choices.empty()) return Complete::choices;
  const auto value = value_name(option);
  if (value == "DIR") return Complete::folder;
  // A job is a file too; a positional that is none says so by its value name.
  if (value == "FILE" || value == "JOB" || value == "RECEIPT" || value == "PATH" ||
      value == "CHALLENGE") {
    return Complete::file;
  }
  return Complete::nothing;
}

std::vector<Mode> modes(const Tool& tool) {
  std::vector<Mode> all;
  if (tool.run) all.push_back({"", tool.name, tool.summary, &tool.options});
  for (const auto& verb : tool.verbs) {
    all.push_back({verb.name, tool.name + " " + verb.name, verb.summary, &verb.options});
  }
  return all;
}

std::vector<std::string> groups(const Tool& tool) {
  std::vector<std::string> all;
  for (const auto& verb : tool.verbs) {
    const auto space = verb.name.find(' ');
    if (space == std::string::npos) continue;
    const auto group = verb.name.substr(0, space);
    if (std::ranges::find(all, group) == all.end()) all.push_back(group);
  }
  return all;
}

std::string synopsis_word(const Option& option) {
  const auto name = value_name(option);
  return (option.required ? name : "[" + name + "]") + (repeats(option) ? "..." : "");
}

}  // namespace volt::cli
