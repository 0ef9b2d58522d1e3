// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/cli/tool.hpp"

namespace volt::cli {

/// What --help prints, in lines of at most 80 columns: of the tool, or of one verb.
std::string help_text(const Tool& tool, const Verb* verb);

}  // namespace volt::cli
