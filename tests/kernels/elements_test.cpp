// SPDX-License-Identifier: Apache-2.0

// Operations that move or compare elements without any arithmetic.

#include <algorithm>
#include <numeric>

#include "support.hpp"

namespace volt::kernels::test {
namespace {

std::vector<std::uint32_t> counted(std::uint64_t count) {
  std::vector<std::uint32_t> values(count);
  std::iota(values.begin(), values.end(), 1u);
  return values;
}

// `to` of `backend` after select; it begins as 0.
template <class T>
std::vector<T> selected(const Backend& backend, Lines lines, const std::vector<T>& values,
                        const Matrix& from, const std::vector<std::uint64_t>& index,
                        const Matrix& to) {
  Session s(backend);
  Matrix source = from, target = to;
  source.buffer = s.put(values);
  const std::uint64_t size = to.offset + to.rows * to.stride;
  target.buffer = s.room(size * sizeof(T));
  VOLT_OK(backend.select(s.context, lines, sizeof(T), source, index.data(), target));
  return s.get<T>(target.buffer, size);
}

}  // namespace

TEST_CASE("select copies the lines that the index names, in its order, as often as it does") {
  const Matrix from = {nullptr, 1, 3, 2, 4};  // 2 3 | 6 7 | 10 11
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    CHECK(selected(backend, Lines::rows, counted(12), from, {2, 0, 2, 1}, {nullptr, 0, 4, 2, 3}) ==
          std::vector<std::uint32_t>{10, 11, 0, 2, 3, 0, 10, 11, 0, 6, 7, 0});
    CHECK(selected(backend, Lines::columns, counted(12), from, {1, 1, 0}, {nullptr, 1, 3, 3, 3}) ==
          std::vector<std::uint32_t>{0, 3, 3, 2, 7, 7, 6, 11, 11, 10});
  }
}

TEST_CASE("select of random lines gives what the reference gives") {
  std::mt19937_64 random(3);
  const auto extent = [&](std::uint64_t most) { return 1 + random() % most; };
  const std::vector<std::uint32_t> words = counted(40 * 1500);
  std::vector<std::uint8_t> bytes(words.size());
  std::transform(words.begin(), words.end(), bytes.begin(),
                 [](std::uint32_t word) { return static_cast<std::uint8_t>(word * 37 >> 3); });
  for (int round = 0; round < 20; ++round) {
    const Lines lines = round % 2 == 0 ? Lines::rows : Lines::columns;
    const bool rows = lines == Lines::rows;
    const Matrix from = {nullptr, extent(5), extent(30), extent(1400), 1450};
    std::vector<std::uint64_t> index(extent(rows ? 40 : 1400));
    for (std::uint64_t& i : index) i = random() % (rows ? from.rows : from.cols);
    Matrix to = {nullptr, extent(3), rows ? index.size() : from.rows,
                 rows ? from.cols : index.size(), 0};
    to.stride = to.cols + extent(3);
    const auto expected = selected(cpu_reference(), lines, words, from, index, to);
    const auto expected_bytes = selected(cpu_reference(), lines, bytes, from, index, to);
    for (const Backend& backend : fast_backends()) {
      CAPTURE(std::string(backend.name));
      CHECK(selected(backend, lines, words, from, index, to) == expected);
      CHECK(selected(backend, lines, bytes, from, index, to) == expected_bytes);
    }
  }
}

TEST_CASE("select refuses lines that there are not, and widths that it does not know") {
  const std::uint64_t index[] = {0, 3};
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    Buffer* b = s.room(64);
    Buffer* o = s.room(64);
    const auto rows = [&](std::uint32_t width, const std::uint64_t* which) {
      return backend.select(s.context, Lines::rows, width, dense(b, 3, 2), which, dense(o, 2, 2));
    };
    VOLT_REFUSED(invalid, "index 1 is 3, but there are 3 lines", rows(4, index));
    VOLT_REFUSED(invalid, "select: there is no index", rows(4, nullptr));
    VOLT_REFUSED(invalid, "elements of 2 bytes cannot be selected", rows(2, index));
    VOLT_REFUSED(invalid, "to.cols is 1, but from.cols is 2",
                 backend.select(s.context, Lines::rows, 4, dense(b, 3, 2), index, dense(o, 2, 1)));
    VOLT_REFUSED(
        invalid, "to overlaps from",
        backend.select(s.context, Lines::columns, 1, dense(b, 2, 4), index, {b, 7, 2, 2, 2}));
  }
}

TEST_CASE("compare finds the first of all differences, wherever both begin") {
  constexpr std::uint64_t size = 10'000;
  std::vector<std::uint8_t> a(size + 20);
  for (std::uint64_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::uint8_t>(i * 31 >> 2);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* x = s.put(a);
    for (std::uint64_t shift : {0, 1, 16}) {
      for (std::uint64_t place : {std::uint64_t{0}, std::uint64_t{15}, std::uint64_t{16},
                                  std::uint64_t{5003}, size - 1, size}) {
        std::vector<std::uint8_t> b(a.begin() + 3, a.end());
        b.insert(b.begin(), shift, 0);
        for (std::uint64_t i = place; i < size; i += 777) b[shift + i] ^= 0x10;
        b[shift + size] ^= 1;  // beyond what is compared
        std::uint64_t first = 1;
        VOLT_OK(backend.compare(s.context, x, 3, s.put(b), shift, size, &first));
        CHECK(first == place);
      }
    }
    std::uint64_t first = 1;
    VOLT_OK(backend.compare(s.context, x, 0, x, 0, 0, &first));
    CHECK(first == 0);
    VOLT_REFUSED(invalid, "b ends at byte 10021 of a buffer of 10020",
                 backend.compare(s.context, x, 0, x, 1, size + 20, &first));
  }
}

TEST_CASE("copy moves bytes between places that do not overlap") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* b = s.put(std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6, 7, 8});
    VOLT_OK(backend.copy(s.context, b, 1, b, 5, 3));
    VOLT_OK(backend.copy(s.context, b, 0, b, 0, 0));
    CHECK(s.get<std::uint8_t>(b, 8) == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 2, 3, 4});
    VOLT_REFUSED(invalid, "to overlaps from", backend.copy(s.context, b, 0, b, 2, 3));
  }
}

TEST_CASE("map gives what the reference gives, element by element, from any offsets") {
  std::mt19937_64 random(4);
  std::vector<std::uint64_t> bits(1500);
  for (std::uint64_t& b : bits) b = random() % 8 == 0 ? random() << 54 : random();
  for (int f = 0; f <= static_cast<int>(Function::from_fp16); ++f) {
    const auto function = static_cast<Function>(f);
    const auto run = [&](const Backend& backend) {
      Session s(backend);
      Buffer* y = s.room(1303 * 4);
      VOLT_OK(backend.map(s.context, function, s.put(bits), 5, y, 3, 1300));
      return s.get<std::uint16_t>(y, 2 * 1303);
    };
    const auto expected = run(cpu_reference());
    for (const Backend& backend : fast_backends()) {
      CAPTURE(std::string(backend.name));
      CAPTURE(f);
      CHECK(run(backend) == expected);
    }
  }
}

}  // namespace volt::kernels::test
