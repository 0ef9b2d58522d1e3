// SPDX-License-Identifier: Apache-2.0

#include <string_view>

#include "support.hpp"

namespace volt::kernels::test {
namespace {

constexpr std::uint64_t huge = ~std::uint64_t{0};

}  // namespace

TEST_CASE("memory beyond the limit is refused with the figures") {
  for (const Backend& backend : all_backends()) {
    Session s(backend, 1, 32'000'000);
    Buffer* buffer = nullptr;
    VOLT_REFUSED(out_of_memory, "needs 64 MB more, the limit is 32 MB",
                 backend.create(s.context, 64'000'000, &buffer));
    CHECK(buffer == nullptr);
    VOLT_REFUSED(out_of_memory, "needs 33 MB more, the limit is 32 MB",
                 backend.create(s.context, 32'000'001, &buffer));
    VOLT_OK(backend.create(s.context, 20'000'000, &buffer));
    Buffer* second = nullptr;
    VOLT_REFUSED(out_of_memory, "needs 13 MB more, the limit is 32 MB, of which 20 MB are in use",
                 backend.create(s.context, 12'000'001, &second));
    VOLT_REFUSED(out_of_memory,
                 "needs 18446744074 GB more, the limit is 32 MB, of which 20 MB are "
                 "in use",
                 backend.create(s.context, huge, &second));
    VOLT_OK(backend.create(s.context, 12'000'000, &second));
    backend.destroy(s.context, buffer);
    VOLT_OK(backend.create(s.context, 20'000'000, &buffer));
    backend.destroy(s.context, buffer);
    backend.destroy(s.context, second);
  }
}

TEST_CASE("memory that the system does not have is refused") {
  Session s(cpu());
  Buffer* buffer = nullptr;
  VOLT_REFUSED(out_of_memory, "needs 18446744074 GB more, which the system does not have",
               s.table.create(s.context, huge, &buffer));
}

TEST_CASE("new memory is zero, whole and aligned, and nothing is also something") {
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    CHECK(s.get<std::uint8_t>(s.room(10'001), 10'001) == std::vector<std::uint8_t>(10'001, 0));
    VOLT_OK(backend.upload(s.context, s.room(0), 0, nullptr, 0));
    backend.destroy(s.context, nullptr);
  }
}

TEST_CASE("too many threads are refused") {
  Context* context = nullptr;
  VOLT_REFUSED(invalid, "100000 threads are asked for, the most is 1024",
               cpu().open({100'000, 0}, &context));
  CHECK(context == nullptr);
}

TEST_CASE("what does not lie in its buffer is refused, whatever overflows") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* b = s.room(64);  // 16 floats
    const Matrix ok = dense(b, 1, 1);
    const Matrix c = {b, 8, 1, 1, 1};
    const auto f32 = [&](const Matrix& a) {
      return backend.matmul_f32x(s.context, Form::ab, a, {b, 4, a.cols, 1, 1}, c);
    };
    VOLT_REFUSED(invalid, "a ends at byte 68 of a buffer of 64", f32({b, 16, 1, 1, 1}));
    VOLT_REFUSED(invalid, "a: offset 18446744073709551615 and 1 elements overflow 64 bits",
                 f32({b, huge, 1, 1, 1}));
    VOLT_REFUSED(invalid, "a: offset 4611686018427387904 and 1 elements overflow 64 bits",
                 f32({b, huge / 4 + 1, 1, 1, 1}));
    VOLT_REFUSED(invalid, "a has no buffer", f32({nullptr, 0, 1, 1, 1}));
    const Matrix tall = {b, 0, huge, 1, huge};
    VOLT_REFUSED(invalid, "c.rows is 1, but a.rows is 18446744073709551615", f32(tall));
    VOLT_REFUSED(invalid,
                 "a: 18446744073709551615 rows with stride 18446744073709551615 overflow 64 bits",
                 backend.matmul_f32x(s.context, Form::ab, tall, ok, {b, 8, huge, 1, 1}));
    VOLT_REFUSED(invalid, "a: stride 1 is less than 2 columns",
                 backend.matmul_f32x(s.context, Form::ab, {b, 0, 2, 2, 1}, {b, 4, 2, 1, 1},
                                     {b, 8, 2, 1, 1}));
    VOLT_REFUSED(invalid, "fill ends at byte 68 of a buffer of 64",
                 backend.fill_f32(s.context, b, 1, 16, 0, 0, 0));
    VOLT_REFUSED(invalid, "fill: element 18446744073709551615 and 2 elements overflow 64 bits",
                 backend.fill_i8(s.context, b, 0, 2, 0, 0, huge));
    std::uint8_t digest[32];
    VOLT_REFUSED(invalid, "pages ends at byte 65 of a buffer of 64",
                 backend.page_digests(s.context, b, 1, 64, digest));
    VOLT_REFUSED(invalid, "pages: no room for the digests",
                 backend.page_digests(s.context, b, 0, 64, nullptr));
    VOLT_REFUSED(invalid, "upload ends at byte 65 of a buffer of 64",
                 backend.upload(s.context, b, 64, digest, 1));
    VOLT_REFUSED(invalid, "upload from null", backend.upload(s.context, b, 0, nullptr, 1));
    VOLT_REFUSED(invalid, "download ends at byte 65 of a buffer of 64",
                 backend.download(s.context, b, 60, digest, 5));
    VOLT_REFUSED(invalid, "download to null", backend.download(s.context, b, 0, nullptr, 1));
  }
}

TEST_CASE("extents that do not fit together are refused") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* b = s.room(1 << 20);
    Buffer* o = s.room(1 << 20);
    VOLT_REFUSED(
        invalid, "k of b (its rows) is 3, but k of a (its columns) is 2",
        backend.matmul_f32x(s.context, Form::ab, dense(b, 2, 2), dense(b, 3, 2), dense(o, 2, 2)));
    VOLT_REFUSED(
        invalid, "k of b (its columns) is 3, but k of a (its columns) is 2",
        backend.matmul_i8(s.context, Form::abt, dense(b, 2, 2), dense(b, 2, 3), dense(o, 2, 2)));
    VOLT_REFUSED(
        invalid, "k of b (its rows) is 3, but k of a (its rows) is 2",
        backend.matmul_f32x(s.context, Form::atb, dense(b, 2, 2), dense(b, 3, 2), dense(o, 2, 2)));
    VOLT_REFUSED(
        invalid, "c.rows is 3, but a.cols is 2",
        backend.matmul_f32x(s.context, Form::atb, dense(b, 2, 2), dense(b, 2, 2), dense(o, 3, 2)));
    VOLT_REFUSED(
        invalid, "c.cols is 3, but b.rows is 2",
        backend.matmul_f32x(s.context, Form::abt, dense(b, 2, 2), dense(b, 2, 2), dense(o, 2, 3)));
    VOLT_REFUSED(invalid, "form 7 is unknown",
                 backend.matmul_f32x(s.context, static_cast<Form>(7), dense(b, 2, 2),
                                     dense(b, 2, 2), dense(o, 2, 2)));
    VOLT_REFUSED(invalid, "k is 131072, an i8 product takes at most 131071",
                 backend.matmul_i8(s.context, Form::abt, dense(b, 1, 131'072), dense(b, 1, 131'072),
                                   dense(o, 1, 1)));
    VOLT_REFUSED(invalid, "out.q.cols is 3, but x.cols is 2",
                 backend.quantise(s.context, dense(b, 1, 2),
                                  {dense(o, 1, 3), dense(o, 1, 1), Quantised::along_cols}));
    VOLT_REFUSED(invalid, "out.scales.cols is 1, but the groups of q's columns is 2",
                 backend.quantise(s.context, dense(b, 1, 129),
                                  {dense(o, 1, 129), dense(o, 1, 1), Quantised::along_cols}));
    VOLT_REFUSED(invalid, "out.scales.rows is 3, but the groups of q's rows is 2",
                 backend.quantise(s.context, dense(b, 129, 1),
                                  {dense(o, 129, 1), dense(o, 3, 1), Quantised::along_rows}));
    VOLT_REFUSED(
        invalid, "out: axis 5 is unknown",
        backend.quantise(s.context, dense(b, 1, 1),
                         {dense(o, 1, 1), dense(o, 1, 1), static_cast<Quantised::Axis>(5)}));
    const Quantised along_cols = {dense(b, 2, 2), dense(b, 2, 1), Quantised::along_cols};
    const Quantised along_rows = {dense(b, 2, 2), dense(b, 1, 2), Quantised::along_rows};
    const Matrix c = dense(o, 2, 2);
    VOLT_REFUSED(invalid, "b is not grouped along k, which is its rows in this form",
                 backend.matmul_i8x(s.context, Form::ab, along_cols, along_cols, c));
    VOLT_REFUSED(invalid, "a is not grouped along k, which is its columns in this form",
                 backend.matmul_i8x(s.context, Form::abt, along_rows, along_cols, c));
    Quantised few = along_cols;
    few.scales.rows = 1;
    VOLT_REFUSED(invalid, "a.scales.rows is 1, but the rows of q is 2",
                 backend.matmul_i8x(s.context, Form::abt, few, along_cols, c));
    const QuantisedLimbs limbs = {dense(b, 2, 2), dense(b, 2, 2), dense(b, 2, 1)};
    QuantisedLimbs short_limbs = limbs;
    short_limbs.low.cols = 1;
    VOLT_REFUSED(invalid, "b.low.cols is 1, but that of the high limbs is 2",
                 backend.matmul_i8x2(s.context, Form::abt, limbs, short_limbs, c));
    VOLT_REFUSED(invalid, "an i8x2 product has no diagonal form",
                 backend.matmul_i8x2(s.context, Form::abt_diagonal, limbs, limbs, dense(o, 2, 1)));
    VOLT_REFUSED(invalid, "a bf16 product has no diagonal form",
                 backend.matmul_bf16(s.context, Form::abt_diagonal, dense(b, 2, 2), dense(b, 2, 2),
                                     dense(o, 2, 1)));
    VOLT_REFUSED(invalid, "out.low.cols is 1, but x.cols is 2",
                 backend.quantise_limbs(s.context, dense(b, 2, 2),
                                        {dense(o, 2, 2), dense(o, 2, 1), dense(o, 2, 1)}));
  }
}

TEST_CASE("borrowed memory is not written, and in place has to be aligned for what is read") {
  alignas(8) std::uint8_t bytes[64] = {};
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* borrowed = nullptr;
    VOLT_REFUSED(invalid, "there are no 4 bytes to borrow at null",
                 backend.borrow(s.context, nullptr, 4, &borrowed));
    VOLT_OK(backend.borrow(s.context, bytes, 16, &borrowed));
    const Matrix one = dense(borrowed, 1, 1);
    VOLT_REFUSED(invalid, "c is borrowed memory, which cannot be written",
                 backend.matmul_f32x(s.context, Form::ab, one, one, one));
    VOLT_REFUSED(invalid, "fill is borrowed memory, which cannot be written",
                 backend.fill_i8(s.context, borrowed, 0, 1, 0, 0, 0));
    VOLT_REFUSED(invalid, "upload is borrowed memory, which cannot be written",
                 backend.upload(s.context, borrowed, 0, bytes, 1));
    Buffer* odd = nullptr;
    VOLT_OK(backend.borrow(s.context, bytes + 1, 16, &odd));
    Buffer* out = s.room(4);
    const auto product = [&] {
      return backend.matmul_f32x(s.context, Form::ab, dense(odd, 1, 1), one, dense(out, 1, 1));
    };
    if (std::string_view(backend.name).starts_with("cpu")) {
      VOLT_REFUSED(invalid, "a: the borrowed memory is not aligned to 4 bytes", product());
    } else {
      VOLT_OK(product());  // a GPU's copy is
    }
    VOLT_OK(backend.matmul_i8(s.context, Form::ab, dense(odd, 1, 1), one, dense(out, 1, 1)));
    backend.destroy(s.context, odd);
    backend.destroy(s.context, borrowed);
  }
}

TEST_CASE("borrowed memory counts towards the limit where it is copied") {
  const std::vector<std::uint8_t> bytes(600);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 1, 1000);
    Buffer* first = nullptr;
    Buffer* second = nullptr;
    VOLT_OK(backend.borrow(s.context, bytes.data(), 600, &first));
    if (std::string_view(backend.name).starts_with("cpu")) {
      VOLT_OK(backend.borrow(s.context, bytes.data(), 600, &second));
    } else {
      VOLT_REFUSED(out_of_memory,
                   "needs 600 B more, the limit is 1000 B, of which 600 B are in use",
                   backend.borrow(s.context, bytes.data(), 600, &second));
    }
    backend.destroy(s.context, second);
    backend.destroy(s.context, first);
    VOLT_OK(backend.borrow(s.context, bytes.data(), 600, &first));
    backend.destroy(s.context, first);
  }
}

TEST_CASE("a result that overlaps an operand is refused") {
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    Buffer* b = s.room(4096);
    const auto product = [&](const Matrix& x, const Matrix& y, const Matrix& c) {
      return backend.matmul_f32x(s.context, Form::ab, x, y, c);
    };
    VOLT_REFUSED(invalid, "c overlaps a",
                 product(dense(b, 4, 4), {b, 64, 4, 4, 4}, dense(b, 4, 4)));
    VOLT_REFUSED(invalid, "c overlaps b",
                 product({b, 64, 4, 4, 4}, dense(b, 4, 4), {b, 15, 4, 4, 4}));
    VOLT_REFUSED(invalid, "c overlaps a",  // in one column of a wide matrix
                 product({b, 0, 4, 4, 16}, {b, 500, 4, 4, 4}, {b, 3, 4, 4, 16}));
    VOLT_OK(product({b, 0, 4, 4, 16}, {b, 500, 4, 4, 4}, {b, 4, 4, 4, 16}));
    VOLT_OK(product({b, 4, 4, 4, 16}, {b, 500, 4, 4, 4}, {b, 0, 4, 4, 16}));
    VOLT_REFUSED(invalid, "out.q overlaps x",
                 backend.quantise(s.context, dense(b, 1, 4),
                                  {{b, 12, 1, 4, 4}, {b, 64, 1, 1, 1}, Quantised::along_cols}));
    VOLT_REFUSED(invalid, "out.q overlaps out.scales",
                 backend.quantise(s.context, dense(b, 1, 4),
                                  {{b, 256, 1, 4, 4}, {b, 64, 1, 1, 1}, Quantised::along_cols}));
  }
}

TEST_CASE("empty products touch nothing, whatever the other extents are") {
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    const Matrix empty = {nullptr, 5, 0, 7, 0};
    VOLT_OK(backend.matmul_f32x(s.context, Form::ab, empty, {nullptr, 0, 7, 0, 0},
                                {nullptr, 0, 0, 0, 0}));
    VOLT_OK(backend.matmul_i8x(
        s.context, Form::ab,
        {{nullptr, 0, huge, 0, 0}, {nullptr, 0, huge, 0, 0}, Quantised::along_cols},
        {{nullptr, 0, 0, 0, 0}, {nullptr, 0, 0, 0, 0}, Quantised::along_rows},
        {nullptr, 0, huge, 0, 0}));
    VOLT_OK(backend.quantise(
        s.context, {nullptr, 0, huge, 0, 0},
        {{nullptr, 0, huge, 0, 0}, {nullptr, 0, huge, 0, 0}, Quantised::along_cols}));
    VOLT_OK(backend.fill_f32(s.context, nullptr, 0, 0, 0, 0, 0));
  }
}

}  // namespace volt::kernels::test
