// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

/// What to do on this system when it refuses a level: one line, empty when nothing is known.
namespace volt::sandbox {

std::string namespaces_remedy();
std::string landlock_remedy();

}  // namespace volt::sandbox
