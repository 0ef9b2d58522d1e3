// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "libvolt/base/text.hpp"
#include "libvolt/schema/job_tables.hpp"
#include "libvolt/schema/pattern.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::size_t max_words = 4096, max_word_bytes = 65'536;

std::vector<std::string> parse_words(Fields& fields, std::string_view key) {
  std::vector<std::string> words;
  const auto& array = fields.array(key);
  if (array.size() > max_words) fields.fail(key, fields.get(key), "has more than 4096 entries");
  for (const auto& item : array) {
    const auto* word = item.get_if<std::string>();
    if (word == nullptr || word->find('\0') != std::string::npos || word->size() > max_word_bytes) {
      fields.fail(key, item, "is no list of texts of at most 65536 bytes");
    }
    words.push_back(*word);
  }
  return words;
}

void parse_environment(Fields& fields, Command& command) {
  if (fields.has("env")) {
    Fields table = fields.table("env");
    for (const auto& [name, value] : *fields.get("env").get_if<Value::Object>()) {
      if (!is_variable(name)) {
        table.fail(name, value, "is no name of a variable", "use letters, digits and '_'");
      }
      const auto& text = table.string(name);
      if (text.find('\0') != std::string::npos || text.size() > max_word_bytes) {
        table.fail(name, value, "is no text of at most 65536 bytes");
      }
      command.env.emplace_back(name, text);
    }
    std::ranges::sort(command.env);
  }
  if (fields.has("secrets")) command.secrets = parse_words(fields, "secrets");
  for (const auto& name : command.secrets) {
    if (!is_variable(name)) {
      fields.fail("secrets", fields.get("secrets"),
                  "names \"" + printable(name) + "\", which is no variable",
                  "give names only: the values come from your environment or --secret NAME=FILE");
    }
    const bool twice =
        std::ranges::count(command.secrets, name) > 1 ||
        std::ranges::any_of(command.env, [&](auto& one) { return one.first == name; });
    if (twice) {
      fields.fail("secrets", fields.get("secrets"), "names " + name + ", which is set twice");
    }
  }
  std::ranges::sort(command.secrets);
}

void parse_inputs(Fields& fields, const Source& source, Command& command) {
  if (!fields.has("inputs")) return;
  Fields table = fields.table("inputs");
  const auto& members = *fields.get("inputs").get_if<Value::Object>();
  if (members.size() > max_words) {
    fields.fail("inputs", fields.get("inputs"), "has more than 4096 entries");
  }
  for (const auto& [name, value] : members) {
    if (!is_plain_path(name) || name.find('=') != std::string::npos) {
      table.fail(name, value, "is no usable name in the working folder",
                 "such as \"data/train.csv\"; where the file comes from is the value");
    }
    command.inputs.emplace_back(name, parse_input(table, source, name));
    const auto& input = command.inputs.back().second;
    if (input.seeded() != nullptr || !input.tensor.empty()) {
      table.fail(name, value, "is of a kind that only matmul has",
                 "a command takes files as they are");
    }
  }
  std::ranges::sort(command.inputs, {}, [](const auto& one) { return one.first; });
  for (const auto& [name, input] : command.inputs) {
    for (auto slash = name.find('/'); slash != std::string::npos;
         slash = name.find('/', slash + 1)) {
      const auto folder = name.substr(0, slash);
      if (table.has(folder))
        table.fail(name, table.get(name), "lies below another input, " + folder);
    }
  }
}

void check_patterns(const std::vector<std::string>& patterns, const Fields& fields,
                    std::string_view key, const Value& value) {
  for (const auto& pattern : patterns) {
    if (!is_plain_path(pattern) || split(pattern, '/').size() > max_depth) {
      fields.fail(key, value,
                  "has \"" + printable(pattern) +
                      "\", which names nothing below the "
                      "working folder",
                  "such as \"model.bin\", \"logs/*.txt\" or \"out/**\"");
    }
  }
}

}  // namespace

bool is_variable(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && name.size() <= 255 && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

Command parse_command(Fields fields, const Source& source) {
  Command command;
  command.argv = parse_words(fields, "argv");
  if (command.argv.empty() || command.argv.front().empty()) {
    fields.fail("argv", fields.get("argv"), "names no program",
                "argv = [\"python3\", \"train.py\"]");
  }
  parse_environment(fields, command);
  parse_inputs(fields, source, command);
  for (const auto& [key, patterns] :
       {std::pair{"outputs", &command.outputs}, std::pair{"optional", &command.optional}}) {
    if (!fields.has(key)) continue;
    *patterns = parse_words(fields, key);
    check_patterns(*patterns, fields, key, fields.get(key));
  }
  fields.refuse_others();
  return command;
}

Value command_value(const Command& c) {
  const auto list = [](const auto& words) { return Value::Array(words.begin(), words.end()); };
  Value::Object env, inputs;
  for (const auto& [name, value] : c.env) env.emplace_back(name, value);
  for (const auto& [name, input] : c.inputs) inputs.emplace_back(name, input_value(input));
  return Value::Object{{"argv", list(c.argv)},       {"env", std::move(env)},
                       {"secrets", list(c.secrets)}, {"inputs", std::move(inputs)},
                       {"outputs", list(c.outputs)}, {"optional", list(c.optional)}};
}

}  // namespace volt::schema
