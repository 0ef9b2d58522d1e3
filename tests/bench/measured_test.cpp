// SPDX-License-Identifier: Apache-2.0

#include "bench/measured.hpp"

#include <doctest/doctest.h>

#include <cmath>
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

TEST_CASE("a row with a target says whether it passes") {
  Report report;
  report.rows = {{"adam", "", "GB/s", 9, 10, "memcpy", 0, 0.85},
                 {"replay", "", "1/s", 8, 10, "the run", 0, 0.85},
                 {"alone", "", "1/s", 8, {}, "", 0, 0.85},
                 {"broken", "", "1/s", std::nan(""), 10, "", 0, 0.85},
                 {"free", "", "1/s", 8, 10, "", 0}};
  const bool passes[] = {true, false, false, false, false};
  for (std::size_t i = 0; i < 5; ++i) CHECK(report.rows[i].passes() == passes[i]);
  const std::string json = to_json(report), table = to_table(report);
  CHECK(json.find("\"ratio\": 0.9, \"spread\": 0, \"target\": 0.85, \"passes\": true}") !=
        std::string::npos);
  CHECK(json.find("\"ratio\": 0.8, \"spread\": 0, \"target\": 0.85, \"passes\": false}") !=
        std::string::npos);
  CHECK(json.find("\"ratio\": 0.8, \"spread\": 0}") != std::string::npos);
  CHECK(table.find("memcpy; at least 0.85: passes\n") != std::string::npos);
  CHECK(table.find("the run; at least 0.85: fails\n") != std::string::npos);
}

TEST_CASE("this machine has a processor, memory and a kernel") {
  const Machine machine = this_machine();
  CHECK(machine.cores > 0);
  CHECK(machine.memory_bytes > 1'000'000);
  CHECK(!machine.kernel.empty());
}

}  // namespace volt::bench
