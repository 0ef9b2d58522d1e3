// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace volt::lm {

/// The regular expressions by which model families cut text into words, as code: each is known by
/// its exact text and matched in time linear in the text.
enum class SplitPattern { gpt2, llama3, qwen2 };

/// The pattern whose regular expression, in Oniguruma's syntax, is `regex`.
std::optional<SplitPattern> split_pattern(std::string_view regex);
std::string_view regex_of(SplitPattern pattern);

/// Where the match that begins at byte `at` < text.size() ends. There always is one, of a character
/// at least; what follows `text` is as if there were nothing.
std::size_t match_end(SplitPattern pattern, std::string_view utf8, std::size_t at);

}  // namespace volt::lm
