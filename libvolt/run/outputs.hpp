// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/event.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/schema/receipt.hpp"

/// The files that a program left in its working folder, and that its job wants kept. The folder was
/// a stranger's: nothing in it is followed, waited for or trusted.
namespace volt::run {

struct Wanted {
  std::vector<std::string> patterns;  ///< each must match at least one file
  std::vector<std::string> optional;  ///< may match none
};

/// A file in hand.
struct Collected {
  std::string path;  ///< relative to the working folder
  host::Fd fd;       ///< of a regular file with one link, opened without following any
  std::uint64_t bytes = 0;
  bool executable = false;
};

/// Finds the files that `wanted` names in `folder`, in bytewise order of the paths; folders are
/// none. Throws Error (answer_is_no), naming the file or pattern, when a pattern matches nothing,
/// or what matches is no regular file or may not be opened, has a name that is not printable UTF-8
/// or that volt uses itself, or there are more than schema::max_entries of them; Error
/// (interrupted). Files with several links are copied first, so that nobody else holds them. Raises
/// the soft limit of open files when that many need it.
std::vector<Collected> collect(const host::Path& folder, const Wanted& wanted,
                               std::stop_token stop);

}  // namespace volt::run
