// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Text as a template sees it: Jinja works on Python's strings, whose elements are code points.
/// All texts here are UTF-8.
namespace volt::lm::jinja {

/// Bytes of the character at the start of `text`, which is not empty.
std::size_t character_length(std::string_view text);
std::size_t count_characters(std::string_view text);
/// Bytes before character `index`, or all.
std::size_t offset_of(std::string_view text, std::size_t index);
std::vector<std::string_view> characters(std::string_view text);

/// Bytes of the white space character (as str.isspace has it) at the start of `text`, or 0.
std::size_t space_length(std::string_view text);
bool is_space(std::string_view text);  ///< nothing else, and at least one

enum class Side { left, right, both };
/// Without the white space at its ends, or without the characters of `unwanted` if given.
std::string_view strip(std::string_view text, Side side,
                       std::optional<std::string_view> unwanted = std::nullopt);

/// Offset of `needle` from `from` on, or npos. Linear, however the texts repeat themselves.
std::size_t find(std::string_view text, std::string_view needle, std::size_t from = 0);
/// str.split: at `separator`, or between runs of white space without one; at most `most` cuts.
std::vector<std::string_view> split(std::string_view text,
                                    std::optional<std::string_view> separator, std::uint64_t most);
/// str.replace with an `old` that is not empty; nullopt beyond `max_bytes`.
std::optional<std::string> replace(std::string_view text, std::string_view old,
                                   std::string_view with, std::uint64_t most,
                                   std::size_t max_bytes);

/// The changes of case below are for ASCII alone: no table of cases is kept for a few role names.
bool is_ascii(std::string_view text);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);         ///< str.title: "it's" is "It'S"
std::string title_filter(std::string_view text);  ///< Jinja's filter: "it's" is "It's"

/// repr(float): the shortest digits that read back, "1.0", "1e+16", "1e-05".
std::string to_text(double value);

/// The JSON string that json.dumps writes with ensure_ascii=False.
std::string json_string(std::string_view text);

}  // namespace volt::lm::jinja
