// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/text.hpp"
#include "libvolt/cli/dump.hpp"
#include "libvolt/cli/table.hpp"

namespace volt::cli {
namespace {

std::string quoted(const std::vector<std::string>& words) {
  std::vector<std::string> all;
  for (const auto& one : words) all.push_back(quote_fish(one));
  return join(all, " ");
}

/// fish evaluates the text of -a once more.
std::string argument_list(const std::vector<std::string>& words) {
  return quote_fish(quoted(words));
}

std::string values(const Option& option) {
  switch (completion(option)) {
    case Complete::choices:
      return " -x -a " + argument_list(option.choices);
    case Complete::file:
      return " -r -F";
    case Complete::folder:
      return " -x -a '(__fish_complete_directories)'";
    case Complete::nothing:
      return " -x";
  }
  return {};
}

/// One line of an option; `start` is "complete -c gpu-run" and its condition.
std::string option_line(const std::string& start, const Option& option) {
  if (is_positional(option)) {
    switch (completion(option)) {
      case Complete::choices:
        return start + " -a " + argument_list(option.choices) + "\n";
      case Complete::file:
        return start + " -F\n";
      case Complete::folder:
        return start + " -a '(__fish_complete_directories)'\n";
      case Complete::nothing:
        return {};
    }
  }
  auto line = start;
  const auto short_name = letter(option), long_name = word(option);
  if (!short_name.empty()) line += " -s " + short_name.substr(1);
  if (!long_name.empty()) line += " -l " + long_name.substr(2);
  if (takes_value(option)) line += values(option);
  return line + " -d " + quote_fish(option.help) + "\n";
}

}  // namespace

std::string fish_completion(const Tool& tool) {
  const Completions all(tool);
  const auto function = "_" + all.function;
  const auto start = "complete -c " + tool.name;
  const auto at = [&](const std::string& verb) {
    return start + " -n " + quote_fish(function + "_at " + quote_fish(verb));
  };

  std::string text = "# fish completion of " + tool.name + ", made by: " + tool.name +
                     " --dump fish\n\n# Prints the verb; fails when another word stands first.\n" +
                     "function " + function + "_verb\n" +
                     "  set -l words (commandline -opc)\n  set -l verb\n  set -l skip 0\n" +
                     "  for word in $words[2..-1]\n    if test $skip = 1\n      set skip 0\n" +
                     "      continue\n    end\n    switch $word\n";
  if (!all.with_values.empty()) {
    text += "      case " + quoted(all.with_values) + "\n        set skip 1\n";
  }
  text += "      case '-*'\n      case '*'\n        set verb $verb $word\n";
  if (!all.verbs.empty()) {
    text += "        if contains -- \"$verb\" " + quoted(all.verbs) +
            "\n          echo \"$verb\"\n          return 0\n        end\n";
  }
  if (const auto group = groups(tool); !group.empty()) {
    text += "        contains -- \"$verb\" " + quoted(group) + "\n        and continue\n";
  }
  text += "        echo ''\n        return 1\n    end\n  end\n  echo \"$verb\"\nend\n\n";
  text += "function " + function + "_at\n  set -l verb (" + function +
          "_verb)\n  test \"$verb\" = \"$argv[1]\"\nend\n\n";
  text += "function " + function + "_first\n  set -l verb (" + function +
          "_verb)\n  and test -z \"$verb\"\nend\n\n";

  text += start + " -f\n";
  for (const auto& option : all.common) text += option_line(start, option);
  for (const auto& one : all.first_words) {
    text += start + " -n " + function + "_first -a " + argument_list({one}) + " -d " +
            quote_fish(help_of(tool, one)) + "\n";
  }
  for (const auto& group : groups(tool)) {
    for (const auto& second : all.seconds(tool, group)) {
      text += at(group) + " -a " + argument_list({second}) + " -d " +
              quote_fish(help_of(tool, group + " " + second)) + "\n";
    }
  }
  for (const auto& option : tool.options) text += option_line(at(""), option);
  for (const auto& verb : tool.verbs) {
    for (const auto& option : verb.options) text += option_line(at(verb.name), option);
  }
  return text;
}

}  // namespace volt::cli
