// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/quantities.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <utility>

#include "libvolt/base/text.hpp"

namespace volt {
namespace {

/// Splits off the decimal digits at the start of `text`.
std::string_view take_digits(std::string_view& text) {
  const auto end = text.find_first_not_of("0123456789");
  const auto digits = text.substr(0, end);
  text.remove_prefix(digits.size());
  return digits;
}

}  // namespace

std::optional<std::uint64_t> parse_memory(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t>, 9> units{{
      {"B", 1},
      {"kB", 1'000},
      {"MB", 1'000'000},
      {"GB", 1'000'000'000},
      {"TB", 1'000'000'000'000},
      {"KiB", std::uint64_t{1} << 10},
      {"MiB", std::uint64_t{1} << 20},
      {"GiB", std::uint64_t{1} << 30},
      {"TiB", std::uint64_t{1} << 40},
  }};
  const auto count = parse_unsigned(take_digits(text));
  if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  for (const auto& [name, size] : units) {
    if (count && text == name && *count <= UINT64_MAX / size) return *count * size;
  }
  return std::nullopt;
}

std::string format_memory(std::uint64_t bytes) {
  constexpr std::array<const char*, 7> units{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  std::snprintf(text, sizeof text, "%.*f %s", decimals, value, units[unit]);
  return text;
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<char, std::uint64_t>, 4> units{
      {{'d', 86'400}, {'h', 3'600}, {'m', 60}, {'s', 1}}};
  constexpr std::uint64_t limit =
      std::uint64_t{36'500} * 86'400;  // a century; sums cannot overflow
  std::uint64_t total = 0;
  std::size_t next = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const auto count = parse_unsigned(take_digits(text));
    if (!count || *count > limit || text.empty()) return std::nullopt;
    while (next < units.size() && units[next].first != text.front()) ++next;
    if (next == units.size()) return std::nullopt;
    total += *count * units[next].second;
    if (total > limit) return std::nullopt;
    ++next;
    text.remove_prefix(1);
  }
  return std::chrono::seconds(total);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto whole = std::llround(seconds);
  char text[48];
  if (seconds < 0.9995) {
    std::snprintf(text, sizeof text, "%.0f ms", 1000 * seconds);
  } else if (seconds < 9.95) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (whole < 60) {
    std::snprintf(text, sizeof text, "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lld min %lld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld h %lld min", whole / 3600, whole % 3600 / 60);
  }
  return text;
}

std::string format_utc(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::optional<std::chrono::system_clock::time_point> parse_utc(std::string_view text) {
  std::tm parts{};
  if (::strptime(std::string(text).c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return {};
  const auto time = std::chrono::system_clock::from_time_t(::timegm(&parts));
  // The system reads more than it writes.
  if (format_utc(time) != text) return {};
  return time;
}

}  // namespace volt
