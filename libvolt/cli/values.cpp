// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/values.hpp"

#include <algorithm>
#include <utility>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/cli/table.hpp"

namespace volt::cli {
namespace {

[[noreturn]] void fail(std::string_view name, std::string_view text, const std::string& what,
                       std::string hint) {
  throw Error(Exit::usage, std::string(name) + " is \"" + printable(text) + "\", not " + what,
              std::move(hint));
}

void check_choice(const Option& option, std::string_view name, std::string_view text) {
  if (option.choices.empty()) return;
  if (std::ranges::find(option.choices, text) != option.choices.end()) return;
  std::vector<std::string> quoted;
  for (const auto& choice : option.choices) quoted.push_back("\"" + choice + "\"");
  const std::vector<std::string_view> views(option.choices.begin(), option.choices.end());
  fail(name, text, (quoted.size() == 1 ? "" : "one of ") + join(quoted, ", "),
       suggestion(text, views));
}

std::uint64_t number(std::string_view name, std::string_view text) {
  const auto value = parse_unsigned(text);
  if (value) return *value;
  fail(name, text, "a whole number",
       "digits only, no sign, no leading zero, at most 18446744073709551615");
}

std::chrono::seconds duration(std::string_view name, std::string_view text) {
  const auto value = parse_duration(text);
  if (value && value->count() > 0) return *value;
  fail(name, text, "a time", "write 90s, 10m or 1h30m");
}

bool flag(std::string_view name, std::span<const std::string> texts) {
  if (texts.empty() || texts.front() == "true") return true;
  if (texts.front() == "false") return false;
  fail(name, texts.front(), "\"true\" or \"false\"", {});
}

/// What a target holds, for --show-config.
std::optional<std::string> held(const Target& target) {
  struct {
    std::optional<std::string> operator()(const bool* to) { return *to ? "true" : "false"; }
    std::optional<std::string> operator()(const std::string* to) { return *to; }
    std::optional<std::string> operator()(const std::optional<std::string>* to) { return *to; }
    std::optional<std::string> operator()(const std::uint64_t* to) { return std::to_string(*to); }
    std::optional<std::string> operator()(const std::optional<std::uint64_t>* to) {
      return *to ? std::optional(std::to_string(**to)) : std::nullopt;
    }
    std::optional<std::string> operator()(const std::optional<std::chrono::seconds>* to) {
      return *to ? std::optional(std::to_string((*to)->count()) + "s") : std::nullopt;
    }
    std::optional<std::string> operator()(const std::vector<std::string>* to) {
      return to->empty() ? std::nullopt : std::optional(join(*to, " "));
    }
  } text;
  return std::visit(text, target);
}

const std::vector<Option>& chosen(const Tool& tool, const CommandLine& line) {
  return line.verb == nullptr ? tool.options : line.verb->options;
}

const Origin* configured(const Option& option, const Configuration& configuration) {
  const auto found = configuration.find(option.setting);
  return option.setting.empty() || found == configuration.end() ? nullptr : &found->second;
}

void settle(const Option& option, const CommandLine& line, const Configuration& configuration,
            std::vector<Row>& rows) {
  std::string origin = "default";
  if (const auto* given = line.find(option)) {
    origin = name_of(option);
    assign(option, given->texts, origin);
  } else if (const auto* set = configured(option, configuration)) {
    origin = set->origin;
    const bool variable = origin.starts_with("VOLT_");
    assign(option, std::span(&set->text, 1), variable ? origin : origin + ": " + option.setting);
  }
  if (option.setting.empty()) return;
  if (std::ranges::find(rows, option.setting, &Row::key) != rows.end()) return;
  rows.push_back({option.setting, held(option.target), origin});
}

}  // namespace

void assign(const Option& option, std::span<const std::string> texts, std::string_view name) {
  for (const auto& text : texts) check_choice(option, name, text);
  const auto& target = option.target;
  if (auto* const* to = std::get_if<bool*>(&target)) {
    **to = flag(name, texts);
  } else if (auto* const* list = std::get_if<std::vector<std::string>*>(&target)) {
    (*list)->assign(texts.begin(), texts.end());
  } else if (auto* const* count = std::get_if<std::uint64_t*>(&target)) {
    **count = number(name, texts.front());
  } else if (auto* const* time = std::get_if<std::optional<std::chrono::seconds>*>(&target)) {
    **time = duration(name, texts.front());
  } else if (auto* const* maybe = std::get_if<std::optional<std::uint64_t>*>(&target)) {
    **maybe = number(name, texts.front());
  } else if (auto* const* text = std::get_if<std::string*>(&target)) {
    **text = texts.front();
  } else {
    *std::get<std::optional<std::string>*>(target) = texts.front();
  }
}

std::vector<Row> apply(const Tool& tool, const CommandLine& line,
                       const Configuration& configuration, bool all_verbs) {
  std::vector<Row> rows;
  for (const auto& option : chosen(tool, line)) settle(option, line, configuration, rows);
  if (line.verb != nullptr || !all_verbs) return rows;
  for (const auto& verb : tool.verbs) {
    for (const auto& option : verb.options) {
      if (!option.setting.empty()) settle(option, line, configuration, rows);
    }
  }
  return rows;
}

void demand(const Tool& tool, const CommandLine& line, const Configuration& configuration) {
  if (line.verb == nullptr && !tool.run) {
    throw Error(Exit::usage, "a verb is missing", try_help(tool, nullptr));
  }
  for (const auto& option : chosen(tool, line)) {
    if (!option.required || line.find(option) != nullptr) continue;
    if (configured(option, configuration) != nullptr) continue;
    throw Error(Exit::usage, name_of(option) + " is missing", try_help(tool, line.verb));
  }
}

}  // namespace volt::cli
