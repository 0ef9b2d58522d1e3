// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/parse.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <utility>

#include "libvolt/base/text.hpp"
#include "libvolt/cli/table.hpp"

namespace volt::cli {
namespace {

using Texts = std::vector<std::string>;

[[noreturn]] void fail(std::string message, std::string hint) {
  throw Error(Exit::usage, std::move(message), std::move(hint));
}

/// The arguments after a first look, which CLI11 2.1.2 cannot be trusted with: it finds verbs
/// behind other words too, takes the next argument when a value after '=' is empty, and lets flags
/// have values.
struct Arguments {
  Texts options;  ///< options with their values, and words before "--"
  Texts rest;     ///< words after "--"
  const Verb* verb = nullptr;
};

class Reader {
 public:
  Reader(const Tool& tool, std::span<const Option> common) : tool_(tool) {
    learn(common);
    learn(tool.options);
    for (const auto& verb : tool.verbs) learn(verb.options);
  }

  Arguments read(std::span<const std::string> args) {
    args_ = args;
    while (at_ < args_.size()) {
      const auto& arg = args_[at_++];
      if (arg == "--") {
        found_.rest.assign(args_.begin() + static_cast<std::ptrdiff_t>(at_), args_.end());
        break;
      }
      if (arg.starts_with("--")) {
        read_long(arg);
      } else if (arg.size() > 1 && arg[0] == '-') {
        read_letters(arg);
      } else {
        read_word(arg);
      }
    }
    return std::move(found_);
  }

 private:
  void learn(std::span<const Option> options) {
    for (const auto& option : options) {
      for (const auto name : split(option.names, ',')) {
        known_.emplace(name, takes_value(option));
      }
    }
  }

  void take_value(const std::string& option) {
    if (at_ == args_.size()) fail(option + " needs a value", try_help(tool_, found_.verb));
    found_.options.push_back(args_[at_++]);
  }

  void read_long(const std::string& arg) {
    const auto equals = arg.find('=');
    const auto name = arg.substr(0, equals);
    const auto known = known_.find(name);
    if (known == known_.end()) {
      found_.options.push_back(name);
      return;
    }
    found_.options.push_back(name);
    if (known->second && equals == std::string::npos) take_value(name);
    if (known->second && equals != std::string::npos) {
      found_.options.push_back(arg.substr(equals + 1));
    }
    if (!known->second && equals != std::string::npos) {
      fail(name + " takes no value", try_help(tool_, found_.verb));
    }
  }

  /// "-q", "-ovalue", "-qo value": only whether the last letter wants the next argument.
  void read_letters(const std::string& arg) {
    found_.options.push_back(arg);
    for (std::size_t i = 1; i < arg.size(); ++i) {
      const auto known = known_.find(std::string{'-', arg[i]});
      if (known == known_.end()) return;
      if (!known->second) continue;
      if (i + 1 == arg.size()) take_value(known->first);
      return;
    }
  }

  void read_word(const std::string& arg) {
    if (std::exchange(verb_settled_, true) || !read_verb(arg)) found_.options.push_back(arg);
  }

  bool read_verb(const std::string& first) {
    const auto named = [&](std::string_view name) {
      const auto verb = std::ranges::find(tool_.verbs, name, &Verb::name);
      return verb == tool_.verbs.end() ? nullptr : &*verb;
    };
    const auto all_groups = groups(tool_);
    if (std::ranges::find(all_groups, first) != all_groups.end()) {
      if (at_ < args_.size()) found_.verb = named(first + " " + args_[at_]);
      if (found_.verb != nullptr) {
        ++at_;
      } else if (!wants_help()) {
        fail_group(first);
      }
      return true;
    }
    found_.verb = named(first);
    if (found_.verb == nullptr && !tool_.run && !tool_.verbs.empty()) {
      std::vector<std::string_view> names;
      for (const auto& verb : tool_.verbs) names.push_back(verb.name);
      auto hint = suggestion(first, names);
      fail("unknown verb \"" + printable(first) + "\"",
           hint.empty() ? try_help(tool_, nullptr) : std::move(hint));
    }
    return found_.verb != nullptr;
  }

  bool wants_help() const {
    const auto ahead = args_.subspan(at_);
    return !ahead.empty() && (ahead.front() == "--help" || ahead.front() == "-h");
  }

  [[noreturn]] void fail_group(const std::string& group) const {
    std::vector<std::string_view> names;
    Texts quoted;
    for (const auto& verb : tool_.verbs) {
      if (!verb.name.starts_with(group + " ")) continue;
      names.push_back(verb.name);
      quoted.push_back("\"" + verb.name + "\"");
    }
    const auto choices = "there is " + join(quoted, ", ");
    if (at_ == args_.size()) fail("\"" + group + "\" needs a second word", choices);
    const auto wrong = group + " " + args_[at_];
    const auto hint = suggestion(wrong, names);
    fail("unknown verb \"" + printable(wrong) + "\"", hint.empty() ? choices : hint);
  }

  const Tool& tool_;
  std::map<std::string, bool, std::less<>> known_;  ///< name -> takes a value
  std::span<const std::string> args_;
  std::size_t at_ = 0;
  bool verb_settled_ = false;
  Arguments found_;
};

[[noreturn]] void fail_unknown(const Tool& tool, const Verb* verb, const std::string& name,
                               const std::vector<const Option*>& options) {
  std::vector<std::string> names;
  for (const auto* option : options) {
    if (!is_positional(*option) && word(*option) != "--dump") names.push_back(word(*option));
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  auto hint = suggestion(name, views);
  fail("unknown option " + printable(name), hint.empty() ? try_help(tool, verb) : std::move(hint));
}

void give_words(const Tool& tool, CommandLine& line, const std::vector<const Option*>& options,
                const Texts& words) {
  std::size_t next = 0;
  for (const auto* option : options) {
    if (!is_positional(*option) || next == words.size()) continue;
    const std::size_t count = repeats(*option) ? words.size() - next : 1;
    const auto from = words.begin() + static_cast<std::ptrdiff_t>(next);
    line.given.push_back({option, Texts(from, from + static_cast<std::ptrdiff_t>(count))});
    next += count;
  }
  if (next < words.size()) {
    fail("unexpected argument \"" + printable(words[next]) + "\"", try_help(tool, line.verb));
  }
}

}  // namespace

const Given* CommandLine::find(const Option& option) const {
  const auto found = std::ranges::find(given, &option, &Given::option);
  return found == given.end() ? nullptr : &*found;
}

std::string try_help(const Tool& tool, const Verb* verb) {
  return "try " + tool.name + (verb == nullptr ? "" : " " + verb->name) + " --help";
}

CommandLine parse(const Tool& tool, std::span<const Option> common,
                  std::span<const std::string> args) {
  Arguments arguments = Reader(tool, common).read(args);
  CommandLine line{arguments.verb, {}};

  std::vector<const Option*> options;
  for (const auto& option : line.verb == nullptr ? tool.options : line.verb->options) {
    options.push_back(&option);
  }
  for (const auto& option : common) options.push_back(&option);

  // CLI11 is given texts only and no positional: its numbers wrap, its vectors split "[a,b]".
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::pair<const Option*, CLI::Option*>> added;
  for (const auto* option : options) {
    if (is_positional(*option)) continue;
    auto* made = takes_value(*option)
                     ? app.add_option(option->names, CLI::callback_t([](auto&) { return true; }))
                           ->expected(1)
                     : app.add_flag(option->names);
    made->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
    added.emplace_back(option, made);
  }
  try {
    std::ranges::reverse(arguments.options);  // as CLI11 wants it
    app.parse(std::move(arguments.options));
  } catch (const CLI::ParseError& error) {
    fail("cannot read the arguments: " + printable(error.what()), try_help(tool, line.verb));
  }

  Texts words = app.remaining();
  for (const auto& one : words) {
    if (one.size() > 1 && one[0] == '-') fail_unknown(tool, line.verb, one, options);
  }
  for (const auto& [option, made] : added) {
    if (made->count() == 0) continue;
    if (made->count() > 1 && !repeats(*option)) {
      fail(name_of(*option) + " is given twice", "give it once");
    }
    line.given.push_back({option, takes_value(*option) ? made->results() : Texts{}});
  }
  words.insert(words.end(), arguments.rest.begin(), arguments.rest.end());
  give_words(tool, line, options, words);
  return line;
}

}  // namespace volt::cli
