// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/progress.hpp"

#include <doctest/doctest.h>

using namespace volt;
using namespace volt::cli;
using namespace std::chrono_literals;

TEST_CASE("progress shows amount, share, rate and time left") {
  CHECK(progress_text({"product", 1200, 4096, "rows"}, 0, 4s, 80) ==
        "product: 1200 of 4096 rows (29 %), 300 rows/s, 9.7 s left");
  CHECK(progress_text({"hashing a.npy", 1'500'000'000, 3'000'000'000, "bytes"}, 0, 1s, 80) ==
        "hashing a.npy: 1.50 GB of 3.00 GB (50 %), 1.50 GB/s, 1.0 s left");
  CHECK(progress_text({"product", 2'000'000, 4'000'000, "elements"}, 0, 1s, 80) ==
        "product: 2000000 of 4000000 elements (50 %), 2 Melements/s, 1.0 s left");
}

TEST_CASE("progress without a total has no share and no end") {
  CHECK(progress_text({"reading", 50, 0, "rows"}, 0, 10s, 80) == "reading: 50 rows, 5 rows/s");
}

TEST_CASE("the first half second says nothing about the rate") {
  CHECK(progress_text({"product", 10, 20, "rows"}, 0, 400ms, 80) ==
        "product: 10 of 20 rows (50 %)");
}

TEST_CASE("a resumed run is timed from where it began") {
  CHECK(progress_text({"product", 60, 100, "rows"}, 50, 10s, 80) ==
        "product: 60 of 100 rows (60 %), 1 rows/s, 40 s left");
}

TEST_CASE("all but the last row is not 100 %") {
  CHECK(progress_text({"p", 9999, 10000, "rows"}, 0, 0s, 80) == "p: 9999 of 10000 rows (99 %)");
}

TEST_CASE("progress fits the terminal and cannot control it") {
  CHECK(progress_text({"product", 1200, 4096, "rows"}, 0, 4s, 50) ==
        "product: 1200 of 4096 rows (29 %), 300 rows/s");
  CHECK(progress_text({"product", 1200, 4096, "rows"}, 0, 4s, 12) == "product: 120");
  CHECK(progress_text({"a\x1b[2J\n", 1, 2, "rows"}, 0, 0s, 80) ==
        "a\\x1b[2J\\x0a: 1 of 2 rows (50 %)");
}

TEST_CASE(
    "what stands beside the work is in place of share and rate, and goes before the time left") {
  const Progress training{"training", 120, 400, "steps", "loss 1.2345, 3105 tokens/s, 2.10 GB"};
  const auto text = [&](std::size_t width) { return progress_text(training, 0, 40s, width); };
  CHECK(text(80) ==
        "training: 120 of 400 steps, loss 1.2345, 3105 tokens/s, 2.10 GB, 1 min 33 s left");
  CHECK(text(79) == "training: 120 of 400 steps, loss 1.2345, 3105 tokens/s, 1 min 33 s left");
  CHECK(text(60) == "training: 120 of 400 steps, loss 1.2345, 1 min 33 s left");
  CHECK(text(50) == "training: 120 of 400 steps, 1 min 33 s left");
  CHECK(text(40) == "training: 120 of 400 steps");
  CHECK(progress_text(training, 0, 0s, 79) ==
        "training: 120 of 400 steps, loss 1.2345, 3105 tokens/s, 2.10 GB");
}

TEST_CASE("work is shown at its own pace, and not at all when it is over before") {
  Meter meter(1min, 1min);
  const Meter::Time start{};
  const auto at = [&](std::chrono::seconds seconds, std::uint64_t done, const char* what = "p") {
    return meter.due({what, done, 100, "rows"}, start + seconds);
  };
  CHECK(!at(0s, 1));
  CHECK(!at(59s, 50));
  CHECK(at(60s, 51));
  CHECK(!at(61s, 52));
  CHECK(at(120s, 60));
  CHECK(meter.since() == 1);
  CHECK(!at(121s, 5, "other"));
  CHECK(meter.since() == 5);
  CHECK(!at(180s, 6, "other"));
  CHECK(at(181s, 7, "other"));
  CHECK(!at(242s, 1, "other"));  // done fell: begun again
}
