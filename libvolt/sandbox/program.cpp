// SPDX-License-Identifier: Apache-2.0
#include "libvolt/sandbox/program.hpp"

#include "libvolt/doc/fields.hpp"

namespace volt::sandbox {
namespace {

using doc::Value;

const doc::Source source{"program", Exit::failure};

std::vector<std::string> texts(doc::Fields& fields, std::string_view key) {
  std::vector<std::string> all;
  for (const auto& item : fields.array(key)) {
    const auto* text = item.get_if<std::string>();
    if (text == nullptr) fields.fail(key, item, "is no list of texts");
    all.push_back(*text);
  }
  return all;
}

std::uint64_t count(doc::Fields& fields, std::string_view key) {
  return static_cast<std::uint64_t>(fields.integer(key, 0, INT64_MAX));
}

}  // namespace

Value to_value(const Program& program) {
  Value::Array argv(program.argv.begin(), program.argv.end()), environment, shown;
  Value::Array devices(program.devices.begin(), program.devices.end());
  for (const auto& [name, value] : program.environment) {
    environment.emplace_back(name);
    environment.emplace_back(value);
  }
  for (const auto& folder : program.shown) shown.emplace_back(folder.string());
  return Value::Object{{"argv", std::move(argv)},
                       {"environment", std::move(environment)},
                       {"scratch", program.scratch.string()},
                       {"shown", std::move(shown)},
                       {"devices", std::move(devices)},
                       {"network", program.network},
                       {"user", std::uint64_t{program.user}},
                       {"tasks", program.tasks},
                       {"file_bytes", program.file_bytes},
                       {"shared_bytes", program.shared_bytes}};
}

Program parse_program(const Value& value) {
  doc::Fields fields(value, source);
  Program program;
  program.argv = texts(fields, "argv");
  const auto environment = texts(fields, "environment");
  for (std::size_t i = 0; i + 1 < environment.size(); i += 2) {
    program.environment.emplace_back(environment[i], environment[i + 1]);
  }
  program.scratch = fields.string("scratch");
  for (const auto& folder : texts(fields, "shown")) program.shown.emplace_back(folder);
  program.devices = texts(fields, "devices");
  program.network = fields.boolean("network");
  program.user = static_cast<std::uint32_t>(count(fields, "user"));
  program.tasks = count(fields, "tasks");
  program.file_bytes = count(fields, "file_bytes");
  program.shared_bytes = count(fields, "shared_bytes");
  return program;
}

}  // namespace volt::sandbox
