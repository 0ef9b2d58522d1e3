// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>

#include "libvolt/base/text.hpp"
#include "libvolt/cli/dump.hpp"
#include "libvolt/cli/report.hpp"
#include "libvolt/cli/settings.hpp"
#include "libvolt/cli/table.hpp"

namespace volt::cli {
namespace {

constexpr std::string_view list_begin = ".Bl -tag -width Ds\n";
constexpr std::string_view list_end = ".El\n";

/// Escaped, in lines that mandoc finds short enough.
std::string lines(std::string_view text) {
  constexpr std::size_t width = 72;
  std::string out, line;
  for (const auto word : split(text, ' ')) {
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      out += escape_roff(line) + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(word);
  }
  return out + escape_roff(line) + "\n";
}

/// A table's text as a sentence.
std::string sentence(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return lines(text + ".");
}

std::string flag(const std::string& name) {
  const bool is_long = name.starts_with("--");
  return (is_long ? "Fl Fl " : "Fl ") + quote_roff(name.substr(is_long ? 2 : 1));
}

std::string value(const Option& option) { return "Ar " + quote_roff(value_name(option)); }

/// "Fl o , Fl Fl output Ns = Ns Ar DIR"
std::string heading(const Option& option) {
  if (is_positional(option)) return value(option) + (repeats(option) ? " ..." : "");
  const auto short_name = letter(option), long_name = word(option);
  std::string text;
  if (!short_name.empty()) text = flag(short_name);
  if (!long_name.empty()) text += (text.empty() ? "" : " , ") + flag(long_name);
  if (!takes_value(option)) return text;
  return text + (long_name.empty() ? " " : " Ns = Ns ") + value(option);
}

std::string list(const std::vector<Option>& options) {
  std::string text;
  for (const auto& option : options) {
    text += ".It " + heading(option) + "\n" + sentence(option.help);
    if (!option.choices.empty()) text += sentence("one of " + join(option.choices, ", "));
    if (repeats(option) && !is_positional(option)) text += sentence("may be given more than once");
    if (!option.setting.empty()) {
      text += "Setting:\n.Cm " + quote_roff(option.setting) + " .\n";
    }
  }
  return text;
}

std::string arguments(const std::vector<Option>& options) {
  std::string text;
  for (const auto& option : options) {
    const bool positional = is_positional(option);
    if (!positional && !option.required) continue;
    text += option.required ? " " : " Oo ";
    text += positional ? value(option) : flag(name_of(option)) + " " + value(option);
    if (positional && repeats(option)) text += " ...";
    if (!option.required) text += " Oc";
  }
  return text;
}

}  // namespace

std::string escape_roff(std::string_view text) {
  std::string safe;
  // A line that begins so would be a request.
  if (text.starts_with('.') || text.starts_with('\'')) safe = "\\&";
  char before = ' ';
  for (const char c : text) {
    if (c == '\\') {
      safe += "\\e";
    } else if (c == '-' && (before == ' ' || before == '-')) {
      safe += "\\-";  // an option, to be copied as it stands
    } else {
      safe += c == '\n' ? ' ' : c;
    }
    before = c;
  }
  return safe;
}

std::string quote_roff(std::string_view text) {
  std::string safe;
  bool quotes = text.empty();
  for (const char c : text) {
    if (c == '"') {
      safe += "\\(dq";
    } else if (c == '\\') {
      safe += "\\e";
    } else if (c == '-') {
      safe += "\\-";
    } else {
      safe += c == '\n' ? ' ' : c;
    }
    quotes = quotes || c == ' ' || c == '\n';
  }
  // A word of punctuation, or one named like a macro, would be obeyed instead of printed.
  const bool punctuation = text.size() == 1 && std::ispunct(static_cast<unsigned char>(text[0]));
  const bool macro = (text.size() == 2 || text.size() == 3) && text[0] >= 'A' && text[0] <= 'Z' &&
                     text[1] >= 'a' && text[1] <= 'z';
  if (punctuation || macro) safe = "\\&" + safe;
  return quotes ? "\"" + safe + "\"" : safe;
}

std::string man_synopsis(const Tool& tool) {
  std::string text;
  for (const auto& mode : modes(tool)) {
    text += ".Nm\n";
    if (!mode.verb.empty()) text += ".Cm " + quote_roff(mode.verb) + "\n";
    text += ".Op Ar option ...\n";
    auto rest = arguments(*mode.options);
    if (rest.empty()) continue;
    text += "." + rest.substr(1) + "\n";
  }
  return text;
}

std::string man_options(const Tool& tool) {
  Common common;
  std::string text = ".Sh OPTIONS\n" + std::string(list_begin);
  text += list(tool.options) + list(common_options(common)) + std::string(list_end);
  if (tool.verbs.empty()) return text;
  text += ".Sh VERBS\n" + std::string(list_begin);
  for (const auto& verb : tool.verbs) {
    text += ".It Cm " + quote_roff(verb.name) + arguments(verb.options) + "\n";
    text += sentence(verb.summary);
    if (verb.options.empty()) continue;
    text += std::string(list_begin) + list(verb.options) + std::string(list_end);
  }
  return text + std::string(list_end);
}

std::string man_settings(const Tool& tool) {
  std::vector<std::string> named;
  const auto learn = [&](const std::vector<Option>& options) {
    for (const auto& option : options) named.push_back(option.setting);
  };
  learn(tool.options);
  for (const auto& verb : tool.verbs) learn(verb.options);
  std::string items;
  for (const auto& setting : settings()) {
    if (std::ranges::find(named, setting.key) == named.end()) continue;
    std::string variable = "VOLT_" + std::string(setting.key);
    std::ranges::transform(variable, variable.begin(),
                           [](unsigned char c) { return std::toupper(c); });
    items += ".It Cm " + quote_roff(setting.key) + " , Ev " + variable + "\n";
    items += sentence(std::string(setting.help));
    if (!setting.project) items += "A project file may not set it.\n";
  }
  if (items.empty()) return "This tool has no settings.\n";
  return std::string(list_begin) + items + std::string(list_end);
}

std::string man_exit() {
  std::string text = ".Bl -tag -width 130\n";
  for (const auto& one : exit_classes()) {
    text += ".It " + std::to_string(static_cast<int>(one.code)) + "\n";
    text += ".Sy " + quote_roff(one.word) + " :\n";
    text += lines(std::string(one.meaning) + ".");
  }
  return text + std::string(list_end);
}

}  // namespace volt::cli
