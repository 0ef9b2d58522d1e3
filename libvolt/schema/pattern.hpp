// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace volt::schema {

/// Whether `path` ("logs/a.txt") is named by `pattern`: segments as in fnmatch(3), a leading dot only
/// by a dot, and "**" for any number of folders. Both are relative, '/' between segments.
bool matches(std::string_view pattern, std::string_view path);

}  // namespace volt::schema
