// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/value.hpp"

/// What the readers of this folder share; nobody else includes it.
namespace volt::doc {

/// Line and column of the byte at `offset`; columns count characters, not bytes, as editors do.
Mark place_of(std::string_view text, std::size_t offset);

/// "origin:4:11: ", or "origin: " when `mark` is nowhere.
std::string prefix(std::string_view origin, Mark mark);

[[noreturn]] void fail_at(std::string_view origin, Mark mark, std::string_view what,
                          Exit code = Exit::usage, std::string hint = {});

/// Refuses what neither JSON nor TOML may hold: more than `limit` bytes, a byte order mark, NUL,
/// and text that is not UTF-8.
void check_text(std::string_view text, std::string_view origin, std::size_t limit, Exit code);

}  // namespace volt::doc
