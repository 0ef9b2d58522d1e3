// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/help.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "libvolt/base/text.hpp"
#include "libvolt/cli/table.hpp"

namespace volt::cli {
namespace {

constexpr std::size_t width = 80;
constexpr std::size_t widest_name = 26;  ///< a longer one gets a line of its own

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Appends `text` in lines that fit; the first begins at `column`, the others at `indent`.
void wrap(std::string& out, std::string_view text, std::size_t column, std::size_t indent) {
  bool first = true;
  for (const auto word : split(text, ' ')) {
    if (!first && column + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
      first = true;
    }
    if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  out += "\n";
}

void add_pairs(std::string& out, std::string_view title, const Pairs& pairs) {
  if (pairs.empty()) return;
  std::size_t left = 0;
  for (const auto& [name, help] : pairs) {
    if (name.size() <= widest_name) left = std::max(left, name.size());
  }
  const std::size_t indent = 2 + left + 2;
  out += "\n" + std::string(title) + ":\n";
  for (const auto& [name, help] : pairs) {
    out += "  " + name;
    if (help.empty()) {
      out += "\n";
      continue;
    }
    if (name.size() > left) {
      out += "\n" + std::string(indent, ' ');
    } else {
      out += std::string(left - name.size() + 2, ' ');
    }
    wrap(out, help, indent, indent);
  }
}

std::string left_side(const Option& option) {
  if (is_positional(option)) return value_name(option) + (repeats(option) ? "..." : "");
  const auto short_name = letter(option), long_name = word(option);
  auto text = short_name.empty() ? "    " : short_name + (long_name.empty() ? "" : ", ");
  text += long_name;
  return takes_value(option) ? text + " " + value_name(option) : text;
}

std::string right_side(const Option& option) {
  auto text = option.help;
  if (!option.choices.empty()) text += " (" + join(option.choices, ", ") + ")";
  return text;
}

Pairs describe(const std::vector<Option>& options, bool positional) {
  Pairs pairs;
  for (const auto& option : options) {
    if (is_positional(option) == positional) {
      pairs.emplace_back(left_side(option), right_side(option));
    }
  }
  return pairs;
}

std::string synopsis(const Mode& mode) {
  std::string text = mode.command + " [OPTION]...";
  for (const auto& option : *mode.options) {
    if (!is_positional(option) && option.required) {
      text += " " + name_of(option) + " " + value_name(option);
    }
  }
  for (const auto& option : *mode.options) {
    if (is_positional(option)) text += " " + synopsis_word(option);
  }
  return text;
}

}  // namespace

std::string help_text(const Tool& tool, const Verb* verb) {
  constexpr std::string_view usage = "usage: ";
  std::string out;
  for (const auto& mode : modes(tool)) {
    if (verb != nullptr && mode.verb != verb->name) continue;
    out += out.empty() ? std::string(usage) : std::string(usage.size(), ' ');
    wrap(out, synopsis(mode), usage.size(), usage.size() + 4);
  }
  out += "\n";
  wrap(out, verb == nullptr ? tool.summary : verb->summary, 0, 0);

  const auto& options = verb == nullptr ? tool.options : verb->options;
  add_pairs(out, "arguments", describe(options, true));
  add_pairs(out, "options", describe(options, false));
  Common common;
  add_pairs(out, "common options", describe(common_options(common), false));
  if (verb == nullptr) {
    Pairs verbs;
    for (const auto& one : tool.verbs) verbs.emplace_back(one.name, one.summary);
    add_pairs(out, "verbs", verbs);
    Pairs examples;
    for (const auto& example : tool.examples) examples.emplace_back(example, "");
    add_pairs(out, "examples", examples);
  }
  return out + "\nexit codes: volt-exit(7)\n";
}

}  // namespace volt::cli
