// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/pattern.hpp"
namespace volt::schema {
bool matches(std::string_view pattern, std::string_view path) { return pattern == path; }
}  // namespace volt::schema
