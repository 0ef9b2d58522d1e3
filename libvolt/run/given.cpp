// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/given.hpp"

#include <algorithm>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/host/places.hpp"

namespace volt::run {
namespace {

constexpr std::size_t max_secret_bytes = 65'536;

void check_secret(const std::string& name, const std::string& value) {
  if (value.empty() || !is_utf8(value) || value.find('\0') != std::string::npos) {
    throw Error(Exit::usage, "the secret " + name + " is empty, or no text",
                "a secret is UTF-8 of at least one character");
  }
}

}  // namespace

std::map<std::string, std::string> read_secrets(const std::vector<std::string>& given) {
  std::map<std::string, std::string> values;
  for (const auto& entry : given) {
    const auto equals = entry.find('=');
    const auto name = entry.substr(0, equals);
    if (!schema::is_variable(name)) {
      throw Error(Exit::usage, "--secret wants NAME or NAME=FILE",
                  "secrets never stand on a command line: write the value into a file");
    }
    if (equals != std::string::npos) {
      values[name] = trim(host::read_file(entry.substr(equals + 1), max_secret_bytes));
    } else if (const auto value = host::environment(name.c_str())) {
      values[name] = *value;
    } else {
      throw Error(Exit::usage, "the secret " + name + " is not set in the environment",
                  "set it, or give --secret " + name + "=FILE");
    }
    check_secret(name, values[name]);
  }
  return values;
}

std::map<std::string, std::string> find_secrets(const schema::Job& job,
                                                const std::vector<std::string>& given) {
  const auto& names = job.command.secrets;
  auto values = read_secrets(given);
  for (const auto& [name, value] : values) {
    if (std::ranges::find(names, name) == names.end()) {
      throw Error(Exit::usage, "the job names no secret " + printable(name),
                  suggestion(name, std::vector<std::string_view>(names.begin(), names.end())));
    }
  }
  for (const auto& name : names) {
    if (!values.contains(name)) {
      throw Error(Exit::usage, "the job wants the secret " + name,
                  "if it shall have it, give --secret " + name +
                      " (from the environment) or "
                      "--secret " +
                      name + "=FILE");
    }
  }
  return values;
}

std::vector<host::Path> shown_paths(const std::vector<std::string>& given) {
  std::vector<host::Path> shown;
  const auto add = [&](const host::Path& path) {
    const auto lies_in = [&](const host::Path& other) {
      return std::mismatch(path.begin(), path.end(), other.begin(), other.end()).first ==
             path.end();
    };
    for (const host::Path ours : {"/dev", "/proc", "/run", "/sys", "/tmp", "/work", "/inputs"}) {
      if (lies_in(ours)) {
        throw Error(Exit::usage, "--host-path may not be " + host::shown(path),
                    "the sandbox has its own; show a folder in it");
      }
    }
    if (lies_in(host::configuration_folder() / "keys")) {
      throw Error(Exit::usage, "--host-path " + host::shown(path) + " would show your keys",
                  "show a folder in it");
    }
    if (std::ranges::find(shown, path) == shown.end()) shown.push_back(path);
  };
  for (const auto& list : given) {
    for (const auto text : split(list, ':')) {
      if (text.empty()) continue;
      std::error_code error;
      const auto real = std::filesystem::canonical(text, error);
      if (error) {
        throw_system(error.value(), "--host-path: cannot open " + printable(text), {},
                     Exit::not_found);
      }
      // As it was given, and as it really is: a venv's python is a link to elsewhere.
      auto plain = std::filesystem::absolute(text).lexically_normal();
      if (!plain.has_filename()) plain = plain.parent_path();
      add(plain);
      add(real);
    }
  }
  return shown;
}

}  // namespace volt::run
