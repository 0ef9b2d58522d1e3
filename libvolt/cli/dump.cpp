// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/dump.hpp"

#include <algorithm>

#include "libvolt/base/text.hpp"
#include "libvolt/base/version.hpp"
#include "libvolt/cli/line.hpp"
#include "libvolt/cli/settings.hpp"
#include "libvolt/cli/table.hpp"

namespace volt::cli {
namespace {

using doc::Value;

Value texts(const std::vector<std::string>& all) { return Value::Array(all.begin(), all.end()); }

Value options_json(const std::vector<Option>& options) {
  Value::Array all;
  for (const auto& option : options) {
    const char* kind = is_number(option) ? "number" : takes_value(option) ? "text" : "flag";
    all.emplace_back(Value::Object{
        {"name", name_of(option)},
        {"short", letter(option)},
        {"long", word(option)},
        {"positional", is_positional(option)},
        {"kind", kind},
        {"repeats", repeats(option)},
        {"required", option.required},
        {"value", value_name(option)},
        {"help", option.help},
        {"setting", option.setting},
        {"choices", texts(option.choices)},
    });
  }
  return all;
}

}  // namespace

std::string dump(const Tool& tool, std::string_view format) {
  if (format == "man") return man_options(tool);
  if (format == "man-synopsis") return man_synopsis(tool);
  if (format == "man-settings") return man_settings(tool);
  if (format == "man-exit") return man_exit();
  if (format == "bash") return bash_completion(tool);
  if (format == "zsh") return zsh_completion(tool);
  if (format == "fish") return fish_completion(tool);
  return table_json(tool);
}

std::string table_json(const Tool& tool) {
  Common common;
  Value::Array verbs, known;
  for (const auto& verb : tool.verbs) {
    verbs.emplace_back(Value::Object{
        {"name", verb.name}, {"summary", verb.summary}, {"options", options_json(verb.options)}});
  }
  for (const auto& setting : settings()) {
    known.emplace_back(
        Value::Object{{"key", setting.key}, {"help", setting.help}, {"project", setting.project}});
  }
  return to_line(Value::Object{
             {"schema", "volt.tool/1"},
             {"name", tool.name},
             {"version", version()},
             {"summary", tool.summary},
             {"runs", static_cast<bool>(tool.run)},
             {"options", options_json(tool.options)},
             {"common", options_json(common_options(common))},
             {"verbs", std::move(verbs)},
             {"examples", texts(tool.examples)},
             {"settings", std::move(known)},
         }) +
         "\n";
}

std::string quote_shell(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string quote_fish(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string escape_zsh(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (std::string_view("\\[]:()").find(c) != std::string_view::npos) safe += '\\';
    safe += c;
  }
  return safe;
}

Completions::Completions(const Tool& tool) : function("_" + tool.name) {
  std::ranges::replace(function, '-', '_');
  Common targets;
  common = common_options(targets);
  const auto learn = [&](const std::vector<Option>& options) {
    for (const auto& option : options) {
      if (is_positional(option) || !takes_value(option)) continue;
      for (const auto& name : {letter(option), word(option)}) {
        const bool known = std::ranges::find(with_values, name) != with_values.end();
        if (!name.empty() && !known) with_values.push_back(name);
      }
    }
  };
  learn(tool.options);
  for (const auto& verb : tool.verbs) {
    learn(verb.options);
    verbs.push_back(verb.name);
    if (verb.name.find(' ') == std::string::npos) first_words.push_back(verb.name);
  }
  for (const auto& group : groups(tool)) first_words.push_back(group);
}

std::vector<Option> Completions::of(const std::vector<Option>& own) const {
  auto all = own;
  all.insert(all.end(), common.begin(), common.end());
  return all;
}

std::vector<std::string> Completions::seconds(const Tool& tool, std::string_view group) const {
  std::vector<std::string> all;
  for (const auto& verb : tool.verbs) {
    if (verb.name.starts_with(std::string(group) + " ")) {
      all.push_back(verb.name.substr(group.size() + 1));
    }
  }
  return all;
}

std::string help_of(const Tool& tool, std::string_view first_word) {
  for (const auto& verb : tool.verbs) {
    if (verb.name == first_word) return verb.summary;
  }
  std::vector<std::string> names;
  for (const auto& verb : tool.verbs) {
    if (verb.name.starts_with(std::string(first_word) + " ")) names.push_back(verb.name);
  }
  return join(names, ", ");
}

}  // namespace volt::cli
