// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/matmul.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/proof/small.hpp"

using namespace volt;
using namespace volt::workload;
using tensor::Dtype;

namespace {

std::string complaint(const schema::Matmul& job, const tensor::Description& a,
                      const tensor::Description& b) {
  return message_of([&] { geometry(job, a, b); });
}

schema::Matmul job_of(const std::string& profile, char form = 'n') {
  schema::Matmul job;
  job.profile = profile;
  job.transpose_a = form == 'a';
  job.transpose_b = form == 'b';
  return job;
}

}  // namespace

TEST_CASE("a product's extents follow from its operands as they are stored") {
  for (const char form : {'n', 'a', 'b'}) {
    tensor::Description a{Dtype::f32, {2, 3}}, b{Dtype::f32, {3, 5}};
    if (form == 'a') a.shape = {3, 2};
    if (form == 'b') b.shape = {5, 3};
    const auto g = geometry(job_of("f32x", form), a, b);
    CHECK(g.m == 2);
    CHECK(g.n == 5);
    CHECK(g.k == 3);
    CHECK(g.units() == 10);
    CHECK(g.multiply_adds() == 30);
    CHECK(g.output() == tensor::Description{Dtype::f32, {2, 5}});
    CHECK(g.input_dtype() == Dtype::f32);
    CHECK(g.row_of_a(1).first == (form == 'a' ? 1 : 3));
    CHECK(g.row_of_a(1).step == (form == 'a' ? 2 : 1));
    CHECK(g.column_of_b(4).first == (form == 'b' ? 12 : 4));
    CHECK(g.column_of_b(4).step == (form == 'b' ? 1 : 5));
  }
  const auto g = geometry(job_of("i8"), {Dtype::i8, {1, 1}}, {Dtype::i8, {1, 1}});
  CHECK(g.output().dtype == Dtype::i32);
  CHECK(g.input_dtype() == Dtype::i8);
}

TEST_CASE("operands that fit neither each other nor the profile are refused with a hint") {
  const tensor::Description f{Dtype::f32, {2, 3}}, i{Dtype::i8, {2, 3}};
  CHECK(complaint(job_of("f32x"), {Dtype::f32, {6}}, f) ==
        "input a is f32 [6], not a matrix [reshape it to two dimensions]");
  CHECK(complaint(job_of("f32x"), f, {Dtype::f32, {1, 2, 3}}) ==
        "input b is f32 [1, 2, 3], not a matrix [reshape it to two dimensions]");
  CHECK(complaint(job_of("i8"), f, i) ==
        "input a is f32 [2, 3], but profile i8 multiplies i8 [save it with .astype('i1')]");
  CHECK(complaint(job_of("i8x"), f, i) ==
        "input b is i8 [2, 3], but profile i8x multiplies f32 [save it with .astype('<f4')]");
  const std::string misfit = complaint(job_of("f32x"), f, f);
  CHECK(misfit.starts_with("a and b do not fit: "));
  CHECK(misfit.find("a is f32 [2, 3] and b is f32 [2, 3]; see transpose_a and transpose_b") !=
        std::string::npos);
  CHECK(complaint(job_of("f32x", 'b'), f, f) == "nothing thrown");
  CHECK(complaint(job_of("f32x", 'a'), f, f) == "nothing thrown");
}

TEST_CASE("i8 sums no more products than an int32 can hold") {
  const auto with_k = [](std::uint64_t k, const char* profile, Dtype dtype) {
    return complaint(job_of(profile), {dtype, {1, k}}, {dtype, {k, 1}});
  };
  CHECK(with_k(131'071, "i8", Dtype::i8) == "nothing thrown");
  CHECK(with_k(131'072, "i8", Dtype::i8) ==
        "the profile i8 sums at most 131071 products, not 131072 "
        "[use i8x, whose sums have no such limit]");
  CHECK(with_k(131'072, "i8x", Dtype::f32) == "nothing thrown");
}

TEST_CASE("a product that no machine could hold is refused") {
  const std::uint64_t huge = std::uint64_t{1} << 40;
  CHECK(complaint(job_of("f32x"), {Dtype::f32, {huge, 0}}, {Dtype::f32, {0, huge}})
            .find("takes more than 2^62 bytes") != std::string::npos);
}

TEST_CASE("the code of a misfit is the caller's") {
  try {
    geometry(job_of("f32x"), {Dtype::f32, {1}}, {Dtype::f32, {1}}, Exit::verification_failed);
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::verification_failed);
  }
}

TEST_CASE("any cut into tiles gives the bits of the whole") {
  for (const char* profile : {"f32x", "i8x", "i8"}) {
    for (const char form : {'n', 'a', 'b'}) {
      const Small s(profile, form, 37, 29, 261);
      const auto& g = s.geometry;
      CAPTURE(profile);
      CAPTURE(form);
      for (const auto& [rows, cols] : {std::pair<std::uint64_t, std::uint64_t>{1, 1},
                                       {37, 1},
                                       {1, 29},
                                       {7, 29},
                                       {5, 8},
                                       {36, 28}}) {
        Product product(g, s.a, s.b, Small::device());
        Bytes cut(s.c.size());
        for (std::uint64_t row = 0; row < g.m; row += rows) {
          for (std::uint64_t col = 0; col < g.n; col += cols) {
            const auto height = std::min(rows, g.m - row), width = std::min(cols, g.n - col);
            Bytes tile(4 * height * width);
            product.tile(row, height, col, width, tile.data());
            for (std::uint64_t i = 0; i < height; ++i) {
              std::memcpy(cut.data() + 4 * ((row + i) * g.n + col), tile.data() + 4 * i * width,
                          4 * width);
            }
          }
        }
        CHECK(cut == s.c);
      }
    }
  }
}

TEST_CASE("single elements are those of the whole, in any order and more than once") {
  for (const char* profile : {"f32x", "i8x", "i8"}) {
    for (const char form : {'n', 'a', 'b'}) {
      const Small s(profile, form, 37, 29, 261);
      Product product(s.geometry, s.a, s.b, Small::device());
      std::vector<std::uint64_t> units;
      for (std::uint64_t i = 0; i < 300; ++i) units.push_back((i * 577 + i / 100) % (37 * 29));
      Bytes out(4 * units.size());
      product.elements(units, out.data());
      CAPTURE(profile);
      CAPTURE(form);
      for (std::size_t i = 0; i < units.size(); ++i) {
        CHECK(std::memcmp(out.data() + 4 * i, s.c.data() + 4 * units[i], 4) == 0);
      }
      product.elements({}, nullptr);
    }
  }
}

TEST_CASE("tiles of full and of part width may follow each other") {
  const Small s("i8x", 'b', 4, 5, 130);
  Product product(s.geometry, s.a, s.b, Small::device());
  Bytes part(4 * 2), full(4 * 5);
  for (int round = 0; round < 2; ++round) {
    product.tile(1, 1, 2, 2, part.data());
    CHECK(std::equal(part.begin(), part.end(), s.c.begin() + 4 * 7));
    product.tile(2, 1, 0, 5, full.data());
    CHECK(std::equal(full.begin(), full.end(), s.c.begin() + 4 * 10));
  }
}

TEST_CASE("products are right: i8 against plain loops, every form the same matrix") {
  const Small plain("i8", 'n', 6, 7, 300);
  for (std::uint64_t i = 0; i < 6; ++i) {
    for (std::uint64_t j = 0; j < 7; ++j) {
      std::int32_t sum = 0, value = 0;
      for (std::uint64_t l = 0; l < 300; ++l) {
        sum += static_cast<std::int8_t>(plain.a[i * 300 + l]) *
               static_cast<std::int8_t>(plain.b[l * 7 + j]);
      }
      std::memcpy(&value, plain.c.data() + 4 * (i * 7 + j), 4);
      CHECK(value == sum);
    }
  }
  const auto transposed = [](const Bytes& x, std::uint64_t rows, std::uint64_t cols,
                             std::uint64_t size) {
    Bytes y(x.size());
    for (std::uint64_t r = 0; r < rows; ++r) {
      for (std::uint64_t c = 0; c < cols; ++c) {
        std::memcpy(y.data() + (c * rows + r) * size, x.data() + (r * cols + c) * size, size);
      }
    }
    return y;
  };
  for (const char* profile : {"f32x", "i8x", "i8"}) {
    const Small n(profile, 'n', 6, 7, 300);
    const std::uint64_t size = std::string(profile) == "i8" ? 1 : 4;
    Small a(profile, 'a', 6, 7, 300), b(profile, 'b', 6, 7, 300);
    a.a = transposed(n.a, 6, 300, size);
    a.b = n.b;
    b.a = n.a;
    b.b = transposed(n.b, 300, 7, size);
    a.multiply();
    b.multiply();
    CHECK(a.c == n.c);
    CHECK(b.c == n.c);
  }
}

TEST_CASE("seeded operands follow from seed and name, and a prefix from nothing else") {
  auto& device = Small::device();
  for (const auto dtype : {Dtype::f32, Dtype::i8}) {
    const auto a = generate({7, {30, 40}}, dtype, "a", device);
    CHECK(a.size() == 1200 * tensor::size_of(dtype));
    CHECK(generate({7, {30, 40}}, dtype, "a", device) == a);
    CHECK(generate({7, {40, 30}}, dtype, "a", device) == a);
    CHECK(generate({7, {30, 40}}, dtype, "b", device) != a);
    CHECK(generate({8, {30, 40}}, dtype, "a", device) != a);
    const auto longer = generate({7, {31, 40}}, dtype, "a", device);
    CHECK(std::equal(a.begin(), a.end(), longer.begin()));
    CHECK(generate({7, {0, 40}}, dtype, "a", device).empty());
  }
  const auto floats = generate({1, {100, 100}}, Dtype::f32, "a", device);
  for (std::size_t i = 0; i < floats.size(); i += 4) {
    float value = 0;
    std::memcpy(&value, floats.data() + i, 4);
    if (!(value >= -1 && value < 1)) FAIL("outside [-1, 1): " << value);
  }
}

TEST_CASE("a seeded operand is what the profile multiplies") {
  CHECK(seeded_description(job_of("i8"), {1, {2, 3}}) == tensor::Description{Dtype::i8, {2, 3}});
  CHECK(seeded_description(job_of("i8x"), {1, {2, 3}}) == tensor::Description{Dtype::f32, {2, 3}});
}

TEST_CASE("a step of work is neither tiny nor the whole of a large product") {
  Geometry g;
  for (const std::uint64_t n : {0, 1, 4096, 100'000}) {
    g.n = g.k = n;
    const auto rows = Product(g, {}, {}, Small::device()).rows_per_step();
    CHECK(rows >= 32);
    CHECK(rows <= 65'536);
  }
  // What is held in memory stays small however long a row is.
  g.n = std::uint64_t{1} << 31;
  CHECK(Product(g, {}, {}, Small::device()).rows_per_step() == 1);
}
