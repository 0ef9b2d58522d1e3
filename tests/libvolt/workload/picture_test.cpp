// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "libvolt/workload/matmul.hpp"

using namespace volt;
using namespace volt::workload;

namespace {

Geometry extents(std::uint64_t m, std::uint64_t n, const char* profile = "f32x") {
  Geometry g;
  g.m = m;
  g.n = n;
  g.profile = profile;
  return g;
}

template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace

TEST_CASE("a graymap rounds to even, clamps, and shows NaN black") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = INFINITY;
  const std::vector<float> values{0,      0.5f,  1.5f, 254.4f, 254.6f, 255,
                                  255.5f, 1e30f, inf,  -1,     -inf,   nan};
  CHECK(graymap(extents(2, 6), bytes_of(values)) ==
        std::string("P5\n6 2\n255\n") +
            std::string("\x00\x00\x02\xfe\xff\xff\xff\xff\xff\x00\x00\x00", 12));
}

TEST_CASE("a graymap of an integer product") {
  const std::vector<std::int32_t> values{-5, 0, 7, 255, 256, INT32_MAX, INT32_MIN, 254};
  CHECK(graymap(extents(4, 2, "i8"), bytes_of(values)) ==
        std::string("P5\n2 4\n255\n") + std::string("\x00\x00\x07\xff\xff\xff\x00\xfe", 8));
}

TEST_CASE("a graymap of nothing has a header alone") {
  CHECK(graymap(extents(0, 3), {}) == "P5\n3 0\n255\n");
}

TEST_CASE("a sketch has a character for each ten steps of grey") {
  std::vector<float> values;
  for (int i = 0; i < 10; ++i) values.push_back(static_cast<float>(i) * 25.6f + 3);
  CHECK(sketch(extents(1, 10), bytes_of(values), 64) == " .:-=+*#%@");
  CHECK(sketch(extents(2, 2), bytes_of(std::vector<float>{0, 255, 0, 255}), 64) == " @");
}

TEST_CASE("a sketch is at most so wide, and half as high as the picture is square") {
  const std::vector<float> white(100 * 200, 255);
  const std::string text = sketch(extents(100, 200), bytes_of(white), 20);
  std::string expected;
  for (int i = 0; i < 5; ++i) expected += std::string(i == 0 ? "" : "\n") + std::string(20, '@');
  CHECK(text == expected);
  CHECK(sketch(extents(1, 200), bytes_of(std::vector<float>(200, 255)), 20) ==
        std::string(20, '@'));
}

TEST_CASE("a sketch of any shape has its lines full and reads nothing beyond") {
  for (std::uint64_t m = 1; m < 40; m += 3) {
    for (std::uint64_t n = 1; n < 90; n += 7) {
      const Bytes c = bytes_of(std::vector<float>(m * n, 128));
      const std::string text = sketch(extents(m, n), c, 64);
      const auto width = std::min<std::uint64_t>(n, 64);
      CHECK((text.size() + 1) % (width + 1) == 0);
      CHECK(text.find_first_not_of("+\n") == std::string::npos);  // no cell without elements
    }
  }
  CHECK(sketch(extents(0, 5), {}, 64).empty());
}

TEST_CASE("a sketch of a tall picture is no longer than a worker may say") {
  const std::uint64_t rows = 3'000'000;
  CHECK(sketch(extents(rows, 1, "i8"), Bytes(4 * rows), 64).size() < (std::size_t{1} << 20));
}
