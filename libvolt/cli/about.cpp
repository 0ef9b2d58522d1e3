// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/about.hpp"

#include "libvolt/base/text.hpp"
#include "libvolt/base/version.hpp"
#include "libvolt/cli/line.hpp"

namespace volt::cli {

std::string about(std::string_view tool, bool json) {
  if (!json) {
    return std::string(tool) + " " + std::string(version()) + "\n" + std::string(features()) + "\n";
  }
  doc::Value::Object built;
  for (const auto feature : split(features(), ' ')) {
    if (feature.size() > 1) built.emplace_back(std::string(feature.substr(1)), feature[0] == '+');
  }
  return to_line(doc::Value::Object{{"schema", "volt.version/1"},
                                    {"tool", tool},
                                    {"version", version()},
                                    {"features", std::move(built)}}) +
         "\n";
}

}  // namespace volt::cli
