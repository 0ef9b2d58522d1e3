// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

/// What to do on this system when it refuses a level: one line, empty when nothing is known.
namespace volt::sandbox {

/// Whether the system lets only programs with a profile of AppArmor's, which bubblewrap in /usr/bin
/// may have, make user namespaces: Ubuntu 23.10 and later.
bool only_with_profile();

std::string namespaces_remedy();
std::string landlock_remedy();

}  // namespace volt::sandbox
