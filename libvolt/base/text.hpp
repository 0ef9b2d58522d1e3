// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace volt {

/// Pieces between `separator`, empty ones included: split("a,,b", ',') is {"a", "", "b"}.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
/// Without leading and trailing spaces, tabs, CR and LF.
std::string_view trim(std::string_view text);

/// A whole number in decimal and nothing else: no sign, space, leading zero or overflow.
std::optional<std::uint64_t> parse_unsigned(std::string_view text);
/// A finite decimal number ("0.01", "1e-12"); no hex, no "inf", no leading '+'.
std::optional<double> parse_number(std::string_view text);

/// Shortest text that reads back as the same double.
std::string to_text(double value);

bool is_utf8(std::string_view text);
/// Bytes that may end or break off within a character: what is no UTF-8 becomes U+FFFD, one for as
/// many bytes as some character begins with, else one for each (Unicode 15, section 3.9).
std::string as_utf8(std::string_view bytes);

/// `text` made safe for one line on a terminal: control characters and bytes that are not UTF-8
/// become \xNN, and what is longer than `limit` bytes is cut with "...".
std::string printable(std::string_view text, std::size_t limit = 200);

/// The candidate that a typo most likely meant (edit distance at most a third of its length).
std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> candidates);

/// "did you mean \"seed\"?", or empty when nothing is close.
std::string suggestion(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace volt
