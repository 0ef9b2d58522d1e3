// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace volt {

/// "512 MB", "8GiB", "4096 B": decimal units are powers of 1000, "i" units powers of 1024. The
/// number is whole; nullopt on anything else, overflow included.
std::optional<std::uint64_t> parse_memory(std::string_view text);
/// "1.50 GB": three significant digits, decimal units.
std::string format_memory(std::uint64_t bytes);

/// "90s", "10m", "2h", "1d", "1h30m": whole numbers, units in falling order, each once.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);
/// "30 ms", "1.5 s", "12 s", "3 min 20 s", "2 h 5 min".
std::string format_duration(std::chrono::nanoseconds duration);

/// UTC in RFC 3339 with whole seconds: "2026-11-20T09:57:00Z".
std::string format_utc(std::chrono::system_clock::time_point time);
/// What format_utc() wrote; nullopt on anything else.
std::optional<std::chrono::system_clock::time_point> parse_utc(std::string_view text);

}  // namespace volt
