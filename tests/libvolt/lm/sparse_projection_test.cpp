// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/sparse_projection.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "kernels/exact.hpp"

namespace volt::lm {

TEST_CASE("as many elements as the share of active ranks, to the nearest and at least one") {
  CHECK(nonzeros_of(32, 4096, 8) == 1024);
  CHECK(nonzeros_of(32, 48, 8) == 12);
  CHECK(nonzeros_of(4, 6, 1) == 2);  // 1.5
  CHECK(nonzeros_of(4, 5, 1) == 1);  // 1.25
  CHECK(nonzeros_of(32, 4, 1) == 1);
  CHECK(nonzeros_of(32, 1, 1) == 1);
  CHECK(nonzeros_of(7, 100, 7) == 100);
}

TEST_CASE("each row has its places, all columns are drawn alike, values are normal") {
  constexpr std::uint64_t rank = 16, in = 300, nonzeros = 75;
  std::vector<double> drawn(in);
  std::set<std::vector<std::uint64_t>> rows;
  double sum = 0, squares = 0, fourth = 0;
  std::uint64_t count = 0;
  for (std::uint32_t stream = 0; stream < 40; ++stream) {
    const auto a = sparse_projection(rank, in, nonzeros, 5, stream);
    REQUIRE(a.size() == rank * in);
    for (std::uint64_t row = 0; row < rank; ++row) {
      std::vector<std::uint64_t> places;
      for (std::uint64_t j = 0; j < in; ++j) {
        const double z = double{a[row * in + j]} * rank;
        if (z == 0) continue;
        places.push_back(j);
        drawn[j] += 1;
        sum += z;
        squares += z * z;
        fourth += z * z * z * z;
        ++count;
      }
      CHECK(places.size() == nonzeros);
      rows.insert(places);
    }
  }
  CHECK(rows.size() == 40 * rank);  // no two alike
  const auto n = static_cast<double>(count);
  CHECK(std::abs(sum / n) < 0.02);
  CHECK(std::abs(squares / n - 1) < 0.03);
  CHECK(std::abs(fourth / n - 3) < 0.2);
  // 640 rows, a quarter of them each: 160, give or take 11.
  CHECK(*std::min_element(drawn.begin(), drawn.end()) > 160 - 5 * 11);
  CHECK(*std::max_element(drawn.begin(), drawn.end()) < 160 + 5 * 11);
}

TEST_CASE("it follows from seed and stream alone, bit for bit as the header says") {
  const auto a = sparse_projection(3, 20, 6, 11, 77);
  CHECK(sparse_projection(3, 20, 6, 11, 77) == a);
  CHECK(sparse_projection(3, 20, 6, 12, 77) != a);
  CHECK(sparse_projection(3, 20, 6, 11, 78) != a);
  for (std::uint64_t e = 0; e < a.size(); ++e) {
    const auto block = kernels::random_block(11, 77, e);
    std::uint64_t before = 0;
    for (std::uint64_t other = e / 20 * 20; other < (e / 20 + 1) * 20; ++other) {
      before += kernels::random_block(11, 77, other).word[0] < block.word[0];
    }
    const double u = (2.0 * (block.word[1] >> 9) + 1) / (1 << 24);
    const double z =
        std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * block.word[2] / 4294967296.0);
    CHECK(double{a[e]} == doctest::Approx(before < 6 ? z / 3 : 0).epsilon(1e-5));
  }
}

TEST_CASE("it has the bits that it always had") {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a, of the words
  for (const float value : sparse_projection(8, 1000, 250, 1, 65536)) {
    hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 1099511628211U;
  }
  CHECK(hash == 8484004385993973937U);
}

}  // namespace volt::lm
