// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "libvolt/host/files.hpp"

/// Root's programs run as a user of their own: the kernel exempts root from the limit on processes,
/// and everywhere it takes root's files for root's own, capabilities or not.
namespace volt::sandbox {

/// Whether this process is root of this machine, or of a container that shares its users, and may
/// become somebody else.
bool is_root();
/// The same, and may make namespaces without a user namespace.
bool is_admin();

/// A user that nobody else is: numbers that no system gives to people or services.
uid_t fresh_user();

/// Gives a folder and what is in it to `user`. Links are not followed.
void give(const host::Path& folder, uid_t user);

/// Whether everybody may read `path`, all folders on the way included.
bool open_to_all(const host::Path& path);

/// Whether everybody may pass through `folder` and all those above it.
bool passable(const host::Path& folder);

/// For good. Throws Error (sandbox).
void become_user(uid_t user);

/// Kills all processes of `user`, at once, so that none can be missed.
void kill_user(uid_t user);

}  // namespace volt::sandbox
