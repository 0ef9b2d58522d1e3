// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/settings.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::cli {
namespace {

constexpr std::array<Setting, 6> table{{
    {"device", "where to compute: auto, cpu", false},
    {"host_path", "folders that commands see, with ':' between", false},
    {"sandbox", "what holds a command: auto, namespaces, landlock, none", false},
    {"threads", "how many threads", true},
    {"level", "proof level to demand", false},
    {"signer", "key that must have signed", false},
}};

constexpr std::string_view project_file = "./volt.toml";
constexpr std::string_view system_file = "/etc/volt/config.toml";
constexpr std::size_t file_limit = 65536;

/// The value of a variable; an empty one counts as unset, as is the custom.
std::optional<std::string> variable(const std::string& name) {
  const char* text = std::getenv(name.c_str());
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

std::string variable_name(std::string_view key) {
  std::string name = "VOLT_" + std::string(key);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

/// The XDG specification has relative values ignored.
std::optional<std::string> user_file() {
  if (const auto folder = variable("XDG_CONFIG_HOME"); folder && folder->starts_with('/')) {
    return *folder + "/volt/config.toml";
  }
  if (const auto home = variable("HOME"); home && home->starts_with('/')) {
    return *home + "/.config/volt/config.toml";
  }
  return std::nullopt;
}

/// The text of a file, nullopt when there is none. Never waits: a FIFO is refused.
std::optional<std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw_system(errno, "cannot read the configuration " + printable(path));
  }
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } const closer{fd};
  struct stat facts {};
  if (::fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    throw Error(Exit::usage, "the configuration " + printable(path) + " is not a regular file");
  }
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    const auto count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system(errno, "cannot read the configuration " + printable(path));
    if (count == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(count));
    if (text.size() > file_limit) {
      throw Error(Exit::usage, "the configuration " + printable(path) + " is over 64 KiB");
    }
  }
}

const Setting* find_setting(std::string_view key) {
  const auto found = std::ranges::find(table, key, &Setting::key);
  return found == table.end() ? nullptr : &*found;
}

std::string value_text(const doc::Value& value, const std::string& where, std::string_view key) {
  if (const auto* text = value.get_if<std::string>()) return *text;
  if (const auto* number = value.get_if<std::int64_t>()) return std::to_string(*number);
  throw Error(Exit::usage, where + ": " + std::string(key) + " is " + std::string(value.kind()) +
                               ", not a string or a whole number");
}

void add_file(const std::string& path, std::map<std::string, Origin, std::less<>>& all) {
  const auto text = read_file(path);
  if (!text) return;
  const auto shown = printable(path, 4096);
  const auto document = doc::parse_toml(*text, shown);
  const auto* members = document.get_if<doc::Value::Object>();
  if (members == nullptr) return;
  for (const auto& [key, value] : *members) {
    const auto where = shown + ":" + std::to_string(value.mark.line);
    const auto* setting = find_setting(key);
    if (setting == nullptr) {
      std::vector<std::string_view> keys;
      for (const auto& known : table) keys.push_back(known.key);
      throw Error(Exit::usage, where + ": unknown setting \"" + printable(key) + "\"",
                  suggestion(key, keys));
    }
    if (path == project_file && !setting->project) {
      throw Error(Exit::usage, where + ": a project may not set " + key,
                  "set it in " + printable(user_file().value_or(std::string(system_file)), 4096));
    }
    all.try_emplace(key, Origin{value_text(value, where, key), where});
  }
}

}  // namespace

std::span<const Setting> settings() { return table; }

std::map<std::string, Origin, std::less<>> configuration() {
  std::map<std::string, Origin, std::less<>> all;
  // Other VOLT_ variables are not refused: VOLT_TOKEN and its like are no settings.
  for (const auto& setting : table) {
    const auto name = variable_name(setting.key);
    if (auto text = variable(name)) all.try_emplace(std::string(setting.key), Origin{*text, name});
  }
  add_file(std::string(project_file), all);
  if (const auto path = user_file()) add_file(*path, all);
  add_file(std::string(system_file), all);
  return all;
}

}  // namespace volt::cli
