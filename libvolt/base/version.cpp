// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/version.hpp"

// VOLT_VERSION and VOLT_FEATURES come from the build, for this file only.
namespace volt {

std::string_view version() { return VOLT_VERSION; }
std::string_view features() { return VOLT_FEATURES; }

}  // namespace volt
