// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "libvolt/host/files.hpp"

namespace volt::host {

/// An environment variable; an empty one counts as unset.
std::optional<std::string> environment(const char* name);

/// volt's folders by the XDG base directory specification: $XDG_..._HOME/volt when that variable is
/// an absolute path, else below $HOME. Throws Error (usage) when neither is set.
Path configuration_folder();
Path state_folder();
Path cache_folder();

/// The program that runs now, to start it again as a worker.
Path own_program();

/// The folder of a release, lib/volt beside the program's own, that has the loader and all
/// libraries that its programs run with; nullopt for a program that runs with the system's.
std::optional<Path> carried_libraries();
inline constexpr const char* carried_loader = "ld-linux-x86-64.so.2";

}  // namespace volt::host
