// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

namespace volt::cli {

/// A key of configuration files. The environment variable is VOLT_ and the key in capitals.
struct Setting {
  std::string_view key;
  std::string_view help;
  bool project;  ///< may ./volt.toml set it? A cloned repository must not spend, leak or reach out.
};

/// All settings of all tools, so that one file serves the family and a typo is found.
std::span<const Setting> settings();

/// A setting's text and where it came from: "VOLT_DEVICE", "/etc/volt/config.toml:3".
struct Origin {
  std::string text;
  std::string origin;
};

/// Reads the environment, ./volt.toml, $XDG_CONFIG_HOME/volt/config.toml and
/// /etc/volt/config.toml; the first to name a key wins. Throws Error (usage) on an unknown key, or
/// one that a project file may not set.
std::map<std::string, Origin, std::less<>> configuration();

}  // namespace volt::cli
