// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/event_file.hpp"

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <limits>

#include "libvolt/host/files.hpp"

using namespace volt;
using namespace volt::run;

namespace {

std::string one(double time, std::uint64_t step, std::initializer_list<Scalar> scalars) {
  return event_record(time, step, {scalars.begin(), scalars.size()});
}

}  // namespace

TEST_CASE("CRC-32C has its known answers (RFC 3720, appendix B.4)") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
}

TEST_CASE("an event file is what TensorBoard's own code writes (tests/oracle/events.py)") {
  const auto golden =
      std::filesystem::path(__FILE__).parent_path() / "../../vectors/events/golden.tfevents";
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(event_file_head(1700000000.25) + one(1700000001.5, 0, {{"loss", 7.25F}, {"lr", 0}}) +
            one(1700000002.5, 1, {{"loss", nan}, {"lr", 2e-4F}}) +
            one(1700000003.5, 300, {{"eval/loss", -0.125F}}) +
            one(1700000004.5, 9'999'999, {{"tokens", 16384}}) ==
        host::read_file(golden, 4096));
}

TEST_CASE("a record's time can be read again, and what is none has none") {
  const std::string record = one(1700000001.5, 3, {{"loss", 1}});
  CHECK(wall_time_in(record) == 1700000001.5);
  CHECK(wall_time_in(event_file_head(12.5)) == 12.5);
  CHECK(wall_time_in({}) == 0);
  CHECK(wall_time_in(record.substr(0, 20)) == 0);
  CHECK(wall_time_in(std::string(record.size(), '\0')) == 0);
}
