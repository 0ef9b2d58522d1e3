// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/quantities.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace volt;
using namespace std::chrono_literals;

TEST_CASE("memory is a whole number and a unit") {
  CHECK(parse_memory("0 B") == 0);
  CHECK(parse_memory("512 MB") == 512'000'000);
  CHECK(parse_memory("8GiB") == std::uint64_t{8} << 30);
  CHECK(parse_memory("4096 B") == 4096);
  CHECK(parse_memory("1 kB") == 1000);
  CHECK(parse_memory("1 KiB") == 1024);
  CHECK(parse_memory("3 TB") == 3'000'000'000'000);
  CHECK(parse_memory("3 TiB") == std::uint64_t{3} << 40);
  CHECK(parse_memory("18446744073709551615 B") == UINT64_MAX);
  for (const std::uint64_t bytes : {std::uint64_t{1}, std::uint64_t{999}, UINT64_MAX}) {
    CHECK(parse_memory(std::to_string(bytes) + " B") == bytes);
  }
}

TEST_CASE("memory that is no such amount, or more than 64 bits, is refused") {
  for (const char* text : {"",
                           "B",
                           "MB",
                           " 1 B",
                           "1",
                           "1  B",
                           "1 B ",
                           "1 b",
                           "1 KB",
                           "1 mb",
                           "1 gb",
                           "1.5 GB",
                           "-1 B",
                           "+1 B",
                           "01 B",
                           "1 PB",
                           "1e3 B",
                           "18446744073709551616 B",
                           "18446744073709552 kB",
                           "16777216 TiB",
                           "18446745 TB",
                           "1\tB"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_memory(text));
  }
  CHECK(parse_memory("16777215 TiB") == std::uint64_t{16777215} << 40);
}

TEST_CASE("memory is shown with three significant digits") {
  const std::pair<std::uint64_t, const char*> table[] = {
      {0, "0 B"},          {999, "999 B"},       {1000, "1.00 kB"},       {1234, "1.23 kB"},
      {9994, "9.99 kB"},   {9996, "10.0 kB"},    {99'940, "99.9 kB"},     {99'960, "100 kB"},
      {999'499, "999 kB"}, {999'500, "1.00 MB"}, {12'345'678, "12.3 MB"}, {UINT64_MAX, "18.4 EB"}};
  for (const auto& [bytes, text] : table) CHECK(format_memory(bytes) == text);
}

TEST_CASE("a duration has units in falling order, each once") {
  CHECK(parse_duration("0s") == 0s);
  CHECK(parse_duration("90s") == 90s);
  CHECK(parse_duration("10m") == 10min);
  CHECK(parse_duration("2h") == 2h);
  CHECK(parse_duration("1d") == 24h);
  CHECK(parse_duration("1h30m") == 90min);
  CHECK(parse_duration("1d2h3m4s") == 24h + 2h + 3min + 4s);
  CHECK(parse_duration("1d4s") == 24h + 4s);
  for (const char* text : {"",
                           "s",
                           "1",
                           "1x",
                           "1m1h",
                           "1h1h",
                           "1s1d",
                           "-1s",
                           "+1s",
                           "1.5h",
                           "1 s",
                           " 1s",
                           "1s ",
                           "01s",
                           "1h30",
                           "1S",
                           "1ms",
                           "99999999999999999999s",
                           "18446744073709551615d",
                           "36501d",
                           "36500d1s",
                           "213503982334601d"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
  CHECK(parse_duration("36500d") == 36'500 * 24h);
}

TEST_CASE("a duration is shown in the two units that matter") {
  CHECK(format_duration(0ns) == "0 ms");
  CHECK(format_duration(34ms) == "34 ms");
  CHECK(format_duration(999'600us) == "1.0 s");
  CHECK(format_duration(1234ms) == "1.2 s");
  CHECK(format_duration(9940ms) == "9.9 s");
  CHECK(format_duration(9960ms) == "10 s");
  CHECK(format_duration(12s) == "12 s");
  CHECK(format_duration(59'400ms) == "59 s");
  CHECK(format_duration(59'600ms) == "1 min 0 s");
  CHECK(format_duration(200s) == "3 min 20 s");
  CHECK(format_duration(3'599'600ms) == "1 h 0 min");
  CHECK(format_duration(2h + 5min + 59s) == "2 h 5 min");
  CHECK(format_duration(100h) == "100 h 0 min");
}

TEST_CASE("times are RFC 3339 in UTC, whatever the zone") {
  using clock = std::chrono::system_clock;
  CHECK(format_utc(clock::time_point{}) == "1970-01-01T00:00:00Z");
  CHECK(format_utc(clock::from_time_t(1'000'000'000)) == "2001-09-09T01:46:40Z");
  CHECK(format_utc(clock::from_time_t(951'782'399)) == "2000-02-28T23:59:59Z");
  CHECK(format_utc(clock::from_time_t(951'782'400)) == "2000-02-29T00:00:00Z");
}

TEST_CASE("a time is read as it is written, and in no other way") {
  using clock = std::chrono::system_clock;
  for (const std::time_t seconds : {0L, 951'782'399L, 951'782'400L, 4'102'444'800L}) {
    CHECK(parse_utc(format_utc(clock::from_time_t(seconds))) == clock::from_time_t(seconds));
  }
  for (const char* text : {"", "2000-02-30T00:00:00Z", "2000-13-01T00:00:00Z",
                           "2000-02-29T24:00:00Z", "2000-2-29T00:00:00Z", "2000-02-29 00:00:00Z",
                           "2000-02-29T00:00:00", " 2000-02-29T00:00:00Z", "2000-02-29T00:00:00Zx",
                           "2000-02-29T00:00:60Z", "2000-02-29T00:00:00+00:00"}) {
    CHECK_FALSE(parse_utc(text));
  }
}
