// SPDX-License-Identifier: Apache-2.0
#include <cctype>

#include "libvolt/base/text.hpp"
#include "libvolt/cli/dump.hpp"
#include "libvolt/cli/table.hpp"

namespace volt::cli {
namespace {

std::string quoted(const std::vector<std::string>& words, std::string_view separator = " ") {
  std::vector<std::string> all;
  for (const auto& one : words) all.push_back(quote_shell(one));
  return join(all, separator);
}

std::vector<std::string> names(const Option& option) {
  std::vector<std::string> all;
  for (const auto& name : {letter(option), word(option)}) {
    if (!name.empty()) all.push_back(name);
  }
  return all;
}

/// The arms of a `case` that finds the verb; `settled` and `other` are commands.
std::string verb_arms(const Tool& tool, const Completions& all, std::string_view settled) {
  std::string text;
  const auto group = groups(tool);
  if (!group.empty()) text += "          (" + quoted(group, "|") + ") ;;\n";
  if (!all.verbs.empty()) {
    text += "          (" + quoted(all.verbs, "|") + ") " + std::string(settled) + "break ;;\n";
  }
  return text + "          (*) verb=; seen=1; break ;;\n";
}

std::string bash_offer(const Completions& all, const Option& option) {
  switch (completion(option)) {
    case Complete::choices:
      return all.function + "_offer " + quoted(option.choices);
    case Complete::file:
      return all.function + "_paths -f";
    case Complete::folder:
      return all.function + "_paths -d";
    case Complete::nothing:
      return ":";
  }
  return ":";
}

std::string bash_context(const Completions& all, std::string_view verb,
                         const std::vector<Option>& own) {
  std::string arms, offers, text = "    (" + quote_shell(verb) + ")\n";
  std::vector<std::string> flags;
  for (const auto& option : all.of(own)) {
    if (is_positional(option)) {
      const auto offer = bash_offer(all, option);
      if (offer != ":") offers += "      " + offer + "\n";
      continue;
    }
    for (const auto& name : names(option)) flags.push_back(name);
    if (!takes_value(option)) continue;
    arms += "        (" + quoted(names(option), "|") + ") " + bash_offer(all, option);
    arms += "; return ;;\n";
  }
  if (!arms.empty()) text += "      case $prev in\n" + arms + "      esac\n";
  text += "      if [[ $cur == -* ]]; then\n        " + all.function + "_offer " + quoted(flags);
  text += "\n        return\n      fi\n";
  if (verb.empty() && !all.first_words.empty()) {
    text += "      [[ -n $seen ]] || " + all.function + "_offer " + quoted(all.first_words) + "\n";
  }
  return text + offers + "      ;;\n";
}

constexpr std::string_view bash_functions = R"(@_offer() {
  local word
  for word; do
    if [[ $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi
  done
}

@_paths() {
  local paths
  compopt -o filenames 2>/dev/null
  mapfile -t paths < <(compgen "$1" -- "$cur")
  COMPREPLY+=("${paths[@]}")
}

@() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' seen='' word i
  COMPREPLY=()
  # Bash breaks words at '=' too.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
)";

constexpr std::string_view bash_value_arm =
    ") ((i += 1)); [[ ${COMP_WORDS[i]} != = ]] || ((i += 1)) ;;\n";

constexpr std::string_view find_verb = R"(      (-*) ;;
      (*)
        verb=${verb:+$verb }$word
        case $verb in
)";

std::string named(std::string_view text, const std::string& function) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("@_") || text.substr(i).starts_with("@(")) {
      out += function;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string zsh_action(const Option& option) {
  auto message = ":" + escape_zsh(value_name(option)) + ":";
  switch (completion(option)) {
    case Complete::choices: {
      std::vector<std::string> words;
      for (const auto& choice : option.choices) {
        // zsh evaluates the list: everything that could mean something is escaped.
        std::string safe;
        for (const char c : choice) {
          const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ||
                             c == '.' || c == '_' || static_cast<unsigned char>(c) >= 0x80;
          if (!plain) safe += '\\';
          safe += c;
        }
        words.push_back(safe);
      }
      return message + "(" + join(words, " ") + ")";
    }
    case Complete::file:
      return message + "_files";
    case Complete::folder:
      return message + "_files -/";
    case Complete::nothing:
      return message;
  }
  return message;
}

std::string zsh_context(const Completions& all, std::string_view verb,
                        const std::vector<Option>& own) {
  std::string text = "  (" + quote_shell(verb) + ")\n";
  if (!verb.empty()) {
    text += "    words=(\"$words[1]\" \"${(@)words[at+1,-1]}\")\n    (( CURRENT -= at - 1 ))\n";
  }
  text += "    _arguments -s -S";
  std::size_t place = 0;
  bool repeated = false;
  for (const auto& option : all.of(own)) {
    const auto rest =
        "[" + escape_zsh(option.help) + "]" + (takes_value(option) ? zsh_action(option) : "");
    if (is_positional(option)) {
      // Where verbs stand too, the function below offers both.
      if (verb.empty() && place == 0 && !all.first_words.empty()) repeated = repeats(option);
      if (verb.empty() && ++place == 1 && !all.first_words.empty()) continue;
      if (!verb.empty()) ++place;
      const auto at = repeats(option) ? "*" : std::to_string(place) + (option.required ? "" : ":");
      text += " \\\n      " + quote_shell(at + zsh_action(option));
      continue;
    }
    const auto both = names(option);
    for (const auto& name : both) {
      std::string spec = repeats(option) ? "*" : both.size() < 2 ? "" : "(" + join(both, " ") + ")";
      spec += name;
      if (takes_value(option)) spec += name.size() == 2 ? "+" : "=";
      text += " \\\n      " + quote_shell(spec + rest);
    }
  }
  if (verb.empty() && !all.first_words.empty()) {
    text += " \\\n      '1: :" + all.function + "_first'";
    if (repeated) text += " \\\n      '*::file:_files'";
  }
  return text + "\n    ;;\n";
}

std::string zsh_describe(const std::vector<std::pair<std::string, std::string>>& words) {
  std::string text = "    verbs=(";
  for (const auto& [name, help] : words) {
    text += "\n      " + quote_shell(escape_zsh(name) + ":" + help);
  }
  return text + ")\n    _describe -t verbs verb verbs\n";
}

}  // namespace

std::string bash_completion(const Tool& tool) {
  const Completions all(tool);
  std::string text = "# bash completion of " + tool.name + ", made by: " + tool.name +
                     " --dump bash\n\n" + named(bash_functions, all.function);
  if (!all.with_values.empty()) {
    text += "      (" + quoted(all.with_values, "|") + std::string(bash_value_arm);
  }
  text += std::string(find_verb) + verb_arms(tool, all, "") + "        esac\n        ;;\n";
  text += "    esac\n  done\n  case $verb in\n";
  text += bash_context(all, "", tool.options);
  for (const auto& verb : tool.verbs) text += bash_context(all, verb.name, verb.options);
  for (const auto& group : groups(tool)) {
    text += "    (" + quote_shell(group) + ") " + all.function + "_offer " +
            quoted(all.seconds(tool, group)) + " ;;\n";
  }
  return text + "  esac\n}\n\ncomplete -F " + all.function + " " + tool.name + "\n";
}

std::string zsh_completion(const Tool& tool) {
  const Completions all(tool);
  std::string text = "#compdef " + tool.name + "\n# made by: " + tool.name + " --dump zsh\n\n";
  if (!all.first_words.empty()) {
    std::vector<std::pair<std::string, std::string>> words;
    for (const auto& one : all.first_words) words.emplace_back(one, help_of(tool, one));
    text += all.function + "_first() {\n    local -a verbs\n" + zsh_describe(words);
    for (const auto& option : tool.options) {
      if (!is_positional(option)) continue;
      if (completion(option) == Complete::file) text += "    _files\n";
      if (completion(option) == Complete::folder) text += "    _files -/\n";
      if (completion(option) == Complete::choices) {
        text += "    compadd -- " + quoted(option.choices) + "\n";
      }
      break;
    }
    text += "}\n\n";
  }
  text += all.function + "() {\n  local verb seen word\n  local -a verbs\n";
  text += "  integer i=2 at=1\n  while (( i < CURRENT )); do\n    word=$words[i]\n";
  text += "    case $word in\n";
  if (!all.with_values.empty()) {
    text += "      (" + quoted(all.with_values, "|") + ") (( i += 1 )) ;;\n";
  }
  text += std::string(find_verb) + verb_arms(tool, all, "at=i; ") + "        esac\n        ;;\n";
  text += "    esac\n    (( i += 1 ))\n  done\n  case $verb in\n";
  text += zsh_context(all, "", tool.options);
  for (const auto& verb : tool.verbs) text += zsh_context(all, verb.name, verb.options);
  for (const auto& group : groups(tool)) {
    std::vector<std::pair<std::string, std::string>> words;
    for (const auto& second : all.seconds(tool, group)) {
      words.emplace_back(second, help_of(tool, group + " " + second));
    }
    text += "  (" + quote_shell(group) + ")\n" + zsh_describe(words) + "    ;;\n";
  }
  return text + "  esac\n}\n\n" + all.function + " \"$@\"\n";
}

}  // namespace volt::cli
