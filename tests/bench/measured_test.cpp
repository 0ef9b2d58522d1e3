// SPDX-License-Identifier: Apache-2.0

#include "bench/measured.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

namespace volt::bench {

TEST_CASE("the median of samples, and the distance of their quartiles") {
  CHECK(summarise({3}).median == 3);
  CHECK(summarise({3}).spread == 0);
  CHECK(summarise({4, 1, 3, 2}).median == 2.5);
  const Summary five = summarise({50, 10, 20, 40, 30});
  CHECK(five.median == 30);
  CHECK(five.spread == doctest::Approx(20.0 / 30));
  CHECK_THROWS_AS(summarise({}), std::invalid_argument);
}

TEST_CASE("figures have four digits, and what is not known is null") {
  Report report;
  report.what = "cpu";
  report.commit = "a\"b\\c\n";
  report.machine.cores = 2;
  report.rows = {{"f32x", "ab 1x2x3", "Gop/s", 12345.67, 1e-5, "OpenBLAS", 0.012345},
                 {"digests", "1 GiB", "GB/s", 0, {}, "", 0}};
  const std::string json = to_json(report);
  const auto has = [&](const char* part) { return json.find(part) != std::string::npos; };
  CHECK(has("\"schema\": \"volt.measured/1\",\n  \"what\": \"cpu\",\n  \"date\": \"20"));
  CHECK(has("\"commit\": \"a\\\"b\\\\c \""));
  CHECK(has("\"gpu\": null"));
  CHECK(has("\"parity\": []"));
  CHECK(
      has("\"ours\": 12350, \"peer\": 0.00001, \"peer_name\": \"OpenBLAS\", "
          "\"ratio\": 1235000000, \"spread\": 0.01235}"));
  CHECK(has("\"ours\": 0, \"peer\": null, \"peer_name\": null, \"ratio\": null, \"spread\": 0}"));
}

TEST_CASE("this machine has a processor, memory and a kernel") {
  const Machine machine = this_machine();
  CHECK(machine.cores > 0);
  CHECK(machine.memory_bytes > 1'000'000);
  CHECK(!machine.kernel.empty());
}

}  // namespace volt::bench
