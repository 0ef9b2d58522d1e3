// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/doc/value.hpp"

namespace volt::cli {

/// JSON on one line, members in their order, for JSON Lines; without the newline. Never throws on
/// what a program printed: bytes that are not UTF-8 become U+FFFD, NaN and infinity null.
std::string to_line(const doc::Value& value);

}  // namespace volt::cli
