// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace volt::cli {

/// What --version prints: "gpu-run 0.1.0", a line of features; or a volt.version/1 document.
std::string about(std::string_view tool, bool json);

}  // namespace volt::cli
