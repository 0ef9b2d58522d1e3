// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <limits>

#include "places.hpp"

namespace volt::kernels::test {
namespace {

std::vector<std::uint64_t> longs(Random& random, std::uint64_t count) {
  std::vector<std::uint64_t> values(count);
  for (std::uint64_t& value : values) value = random();
  return values;
}

// The memory of `sums` after weigh.
std::vector<std::uint64_t> weighed(const Backend& backend, std::uint32_t threads, const Place& x,
                                   const std::vector<std::int32_t>& elements, const Place& weights,
                                   const std::vector<std::uint64_t>& values, const Place& sums,
                                   const std::vector<std::uint64_t>& around) {
  Session s(backend, threads);
  Buffer* const out = s.put(around);
  VOLT_OK(backend.weigh(s.context, x.in(s.put(elements)), weights.in(s.put(values)), sums.in(out)));
  return s.get<std::uint64_t>(out, sums.size);
}

}  // namespace

TEST_CASE("weighted sums are those of integers as wide as it takes") {
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
  constexpr std::uint64_t most = ~std::uint64_t{0};
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* const x = s.put(std::vector<std::int32_t>{1, 2, 3, least, least, least, -1, 0, 1});
    Buffer* const weights = s.put(std::vector<std::uint64_t>{10, most, 100, most, 1000, most});
    Buffer* const sums = s.put(std::vector<std::uint64_t>(12, 7));
    VOLT_OK(backend.weigh(s.context, dense(x, 3, 3), dense(weights, 3, 2), dense(sums, 3, 4)));
    CHECK(s.get<std::uint64_t>(sums, 12) ==
          std::vector<std::uint64_t>{3210, 0, most - 5, 5,                          //
                                     most - (std::uint64_t{1110} << 31) + 1, most,  //
                                     std::uint64_t{3} << 31, most - (std::uint64_t{3} << 31) + 1,
                                     990, 0, 0, 0});
  }
}

TEST_CASE("weighted sums of any extents, wherever they lie, are the reference's") {
  Random random(20261121);
  for (int round = 0; round < 40; ++round) {
    static constexpr std::uint64_t widths[] = {0,    1,    15,   16,   17,  1023,
                                               1024, 1041, 4096, 4100, 9000};
    const std::uint64_t rows = round % 8 == 0 ? 130 : below(random, 12);  // 130: in pieces
    const bool extreme = round % 4 == 0;  // the largest sums that there are, of many columns
    const std::uint64_t cols = extreme                 ? 9000
                               : below(random, 3) == 0 ? below(random, 100)
                                                       : widths[below(random, std::size(widths))];
    const Place x(random, rows, cols), weights(random, cols, 2), sums(random, rows, 4);
    std::vector<std::int32_t> elements(x.size);
    for (std::int32_t& e : elements) {
      e = extreme ? std::numeric_limits<std::int32_t>::max() : static_cast<std::int32_t>(random());
    }
    auto values = longs(random, weights.size);
    if (extreme) std::fill(values.begin(), values.end(), ~std::uint64_t{0});
    const auto around = longs(random, sums.size);
    const auto expected = weighed(cpu_reference(), 1, x, elements, weights, values, sums, around);
    CAPTURE(rows);
    CAPTURE(cols);
    for (const Backend& backend : fast_backends()) {
      CAPTURE(std::string(backend.name));
      CHECK(weighed(backend, 1 + below(random, 3), x, elements, weights, values, sums, around) ==
            expected);
    }
  }
}

TEST_CASE("weigh refuses what does not fit") {
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    Buffer* const b = s.room(1024);
    Buffer* const o = s.room(1024);
    const auto weigh = [&](const Matrix& weights, const Matrix& sums) {
      return backend.weigh(s.context, dense(b, 3, 5), weights, sums);
    };
    VOLT_REFUSED(invalid, "weights.rows is 4, but x.cols is 5",
                 weigh(dense(b, 4, 2), dense(o, 3, 4)));
    VOLT_REFUSED(invalid, "weights.cols is 3, but the number of weightings is 2",
                 weigh(dense(b, 5, 3), dense(o, 3, 4)));
    VOLT_REFUSED(invalid, "sums.rows is 2, but x.rows is 3", weigh(dense(b, 5, 2), dense(o, 2, 4)));
    VOLT_REFUSED(invalid, "sums.cols is 2, but that of the words of a row's sums is 4",
                 weigh(dense(b, 5, 2), dense(o, 3, 2)));
    VOLT_REFUSED(invalid, "sums overlaps x", weigh(dense(b, 5, 2), dense(b, 3, 4)));
    VOLT_REFUSED(invalid, "sums overlaps weights", weigh(dense(o, 5, 2), {o, 9, 3, 4, 4}));
  }
}

}  // namespace volt::kernels::test
