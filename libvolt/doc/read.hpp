// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/value.hpp"

namespace volt::doc {

/// What is refused before or while parsing, so that hostile text costs nothing.
struct Limits {
  std::size_t bytes = std::size_t{1} << 20;
  std::size_t depth = 32;
  /// Whether a whole number beyond int64 is read as a double: for foreign files, some of which have
  /// 10^30 where they mean "no limit".
  bool rounds_integers = false;
};

/// Reads one JSON document (RFC 8259). Throws Error (usage by default, or `code`) naming `origin`,
/// line and column: syntax, duplicate key, text that is not UTF-8, trailing text, a number outside
/// int64 or double, too long, too deep.
Value parse_json(std::string_view text, std::string_view origin, Limits limits = {},
                 Exit code = Exit::usage);

/// Reads one TOML 1.0 document of at most 64 KiB. Dates, times, inf and nan are refused: no volt
/// document has any. Throws Error (usage) naming `origin`, line, column and the offending text.
Value parse_toml(std::string_view text, std::string_view origin);

/// Indented JSON for people; ends without a newline.
std::string to_json(const Value& value);

/// RFC 8785 (JCS): what is hashed and signed. Throws Error (failure) on NaN and infinity.
std::string to_canonical_json(const Value& value);

}  // namespace volt::doc
