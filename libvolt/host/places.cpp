// SPDX-License-Identifier: Apache-2.0
#include "libvolt/host/places.hpp"

#include <cstdlib>

#include "libvolt/base/error.hpp"

namespace volt::host {
namespace {

Path folder(const char* variable, const char* below_home) {
  if (const auto value = environment(variable); value && value->front() == '/') {
    return Path(*value) / "volt";
  }
  const auto home = environment("HOME");
  if (!home || home->front() != '/') {
    throw Error(Exit::usage, "no place for volt's files: HOME is not set",
                std::string("set HOME, or ") + variable + " to an absolute path");
  }
  return Path(*home) / below_home / "volt";
}

}  // namespace

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Path configuration_folder() { return folder("XDG_CONFIG_HOME", ".config"); }
Path state_folder() { return folder("XDG_STATE_HOME", ".local/state"); }
Path cache_folder() { return folder("XDG_CACHE_HOME", ".cache"); }

// Read, not followed by name: the file may have been replaced since, and /proc/self/exe still
// starts the very program that runs.
Path own_program() { return "/proc/self/exe"; }

std::optional<Path> carried_libraries() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink(own_program(), error);
  auto folder = program.parent_path().parent_path() / "lib" / "volt";
  if (error || !host::exists(folder / carried_loader)) return std::nullopt;
  return folder;
}

}  // namespace volt::host
