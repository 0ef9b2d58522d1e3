// SPDX-License-Identifier: Apache-2.0

// Every instruction set and thread count against the reference, bit for bit, on random shapes.

#include <algorithm>

#include "kernels/exact.hpp"
#include "kernels/variants.hpp"
#include "places.hpp"

namespace volt::kernels::test {
namespace {

// Mostly small, and with the sizes at which loops go wrong.
std::uint64_t extent(Random& random, std::uint64_t most) {
  static constexpr std::uint64_t edges[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 16, 31, 32, 33};
  return below(random, 3) == 0 ? edges[below(random, std::size(edges))] : below(random, most);
}

std::uint64_t extent_k(Random& random) {
  static constexpr std::uint64_t edges[] = {0,   1,   2,   3,   127, 128, 129, 255,  256,
                                            257, 383, 384, 511, 512, 513, 640, 1024, 1025};
  return below(random, 2) == 0 ? edges[below(random, std::size(edges))] : below(random, 300);
}

std::vector<std::int8_t> bytes(Random& random, std::uint64_t count) {
  std::vector<std::int8_t> values(count);
  for (std::int8_t& value : values) value = static_cast<std::int8_t>(random());
  return values;
}

// Whether k runs down the rows of A, or of B.
bool down_a(Form form) { return form == Form::atb || form == Form::atb_diagonal; }
bool down_b(Form form) { return form != Form::abt && form != Form::abt_diagonal; }

struct Case {
  Case(Random& random, std::uint64_t m, std::uint64_t n, std::uint64_t k, Form f, bool wild)
      : form(f),
        a(down_a(f) ? Place(random, k, m) : Place(random, m, k)),
        b(down_b(f) ? Place(random, k, n) : Place(random, n, k)),
        c(random, m, f >= Form::ab_diagonal ? 1 : n),
        scales_a(down_a(f) ? Place(random, (k + 127) / 128, m) : Place(random, m, (k + 127) / 128)),
        scales_b(down_b(f) ? Place(random, (k + 127) / 128, n) : Place(random, n, (k + 127) / 128)),
        fa(floats(random, a.size, wild)),
        fb(floats(random, b.size, wild)),
        fc(floats(random, c.size, wild)),
        fsa(floats(random, scales_a.size, wild)),
        fsb(floats(random, scales_b.size, wild)),
        qa(bytes(random, a.size)),
        qb(bytes(random, b.size)),
        la(bytes(random, a.size)),
        lb(bytes(random, b.size)),
        ic(c.size) {
    for (std::int32_t& value : ic) value = static_cast<std::int32_t>(random());
    for (const float value : fa) ha.push_back(to_bf16(value));
    for (const float value : fb) hb.push_back(to_bf16(value));
  }

  // The bits of C's memory after i8.
  std::vector<std::uint32_t> run_i8(const Backend& backend, std::uint32_t threads) const {
    Session s(backend, threads);
    Buffer* i8 = s.put(ic);
    VOLT_OK(backend.matmul_i8(s.context, form, a.in(s.put(qa)), b.in(s.put(qb)), c.in(i8)));
    return s.get<std::uint32_t>(i8, c.size);
  }

  // The same after f32x, i8, i8x and, which have no diagonals, i8x2 and bf16.
  std::vector<std::vector<std::uint32_t>> run(const Backend& backend, std::uint32_t threads) const {
    Session s(backend, threads);
    Buffer* f32x = s.put(fc);
    Buffer* i8x = s.put(fc);
    Buffer* int_a = s.put(qa);
    Buffer* int_b = s.put(qb);
    VOLT_OK(backend.matmul_f32x(s.context, form, a.in(s.put(fa)), b.in(s.put(fb)), c.in(f32x)));
    const Quantised x = {a.in(int_a), scales_a.in(s.put(fsa)),
                         down_a(form) ? Quantised::along_rows : Quantised::along_cols};
    const Quantised y = {b.in(int_b), scales_b.in(s.put(fsb)),
                         down_b(form) ? Quantised::along_rows : Quantised::along_cols};
    VOLT_OK(backend.matmul_i8x(s.context, form, x, y, c.in(i8x)));
    std::vector<std::vector<std::uint32_t>> all = {s.get<std::uint32_t>(f32x, c.size),
                                                   run_i8(backend, threads),
                                                   s.get<std::uint32_t>(i8x, c.size)};
    if (form >= Form::ab_diagonal) return all;
    Buffer* i8x2 = s.put(fc);
    const QuantisedLimbs x2 = {x.q, a.in(s.put(la)), x.scales, x.axis};
    const QuantisedLimbs y2 = {y.q, b.in(s.put(lb)), y.scales, y.axis};
    VOLT_OK(backend.matmul_i8x2(s.context, form, x2, y2, c.in(i8x2)));
    all.push_back(s.get<std::uint32_t>(i8x2, c.size));
    Buffer* bf16 = s.put(fc);
    VOLT_OK(backend.matmul_bf16(s.context, form, a.in(s.put(ha)), b.in(s.put(hb)), c.in(bf16)));
    all.push_back(s.get<std::uint32_t>(bf16, c.size));
    return all;
  }

  Form form;
  Place a, b, c, scales_a, scales_b;
  std::vector<float> fa, fb, fc, fsa, fsb;
  std::vector<std::int8_t> qa, qb, la, lb;  // the last two are low limbs
  std::vector<std::int32_t> ic;
  std::vector<std::uint16_t> ha, hb;
};

constexpr Form forms[] = {Form::ab, Form::abt, Form::atb};
constexpr Form diagonals[] = {Form::ab_diagonal, Form::abt_diagonal, Form::atb_diagonal};
constexpr std::uint32_t thread_counts[] = {1, 2, 3, 7};

}  // namespace

TEST_CASE("every instruction set multiplies as the reference does, on random shapes") {
  Random random(20240611);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t m = extent(random, 60), n = extent(random, 90), k = extent_k(random);
    const Form form = forms[round % 3];
    const Case one(random, m, n, k, form, round % 5 == 0);
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    CAPTURE(static_cast<int>(form));
    const auto expected = one.run(cpu_reference(), 1);
    for (const Backend& backend : cpu_variants()) {
      CAPTURE(std::string(backend.name));
      const auto got = one.run(backend, thread_counts[below(random, 4)]);
      CHECK(got[0] == expected[0]);
      CHECK(got[1] == expected[1]);
      CHECK(got[2] == expected[2]);
      CHECK(got[3] == expected[3]);
      CHECK(got[4] == expected[4]);
    }
  }
}

TEST_CASE("a bf16 product on a CPU is that of the same numbers in fp32") {
  const std::uint64_t m = 30, n = 40, k = 1100;
  const auto narrow = [](std::vector<float>& values) {
    std::vector<std::uint16_t> halves;
    for (float& value : values) {
      halves.push_back(to_bf16(value));
      value = from_bf16(halves.back());
    }
    return halves;
  };
  Random random(7);
  std::vector<float> a = floats(random, m * k, false), b = floats(random, n * k, false);
  const auto half_a = narrow(a), half_b = narrow(b);
  for (const Backend& backend : cpu_variants()) {
    Session s(backend);
    Buffer* const bf16 = s.put(std::vector<float>(m * n));
    Buffer* const f32x = s.put(std::vector<float>(m * n));
    VOLT_OK(backend.matmul_bf16(s.context, Form::abt, dense(s.put(half_a), m, k),
                                dense(s.put(half_b), n, k), dense(bf16, m, n)));
    VOLT_OK(backend.matmul_f32x(s.context, Form::abt, dense(s.put(a), m, k), dense(s.put(b), n, k),
                                dense(f32x, m, n)));
    CHECK(s.get<float>(bf16, m * n) == s.get<float>(f32x, m * n));
  }
}

TEST_CASE("diagonals are those of the whole product") {
  Random random(20261120);
  for (int round = 0; round < 90; ++round) {
    const std::uint64_t m = round % 6 == 0 ? 600 + below(random, 40) : extent(random, 300);
    const std::uint64_t k = extent_k(random);
    const Case one(random, m, m, k, diagonals[round % 3], round % 5 == 0);
    CAPTURE(m);
    CAPTURE(k);
    const auto expected = one.run(cpu_reference(), 1);
    for (const Backend& backend : cpu_variants()) {
      CAPTURE(std::string(backend.name));
      CHECK(one.run(backend, thread_counts[below(random, 4)]) == expected);
    }
  }
  Session s(cpu_reference());
  const std::vector<float> a = floats(random, 9 * 130, false), b = floats(random, 130 * 9, false);
  Buffer* ba = s.put(a);
  Buffer* bb = s.put(b);
  Buffer* all = s.room(9 * 9 * 4);
  Buffer* some = s.room(9 * 4);
  VOLT_OK(s.table.matmul_f32x(s.context, Form::ab, dense(ba, 9, 130), dense(bb, 130, 9),
                              dense(all, 9, 9)));
  VOLT_OK(s.table.matmul_f32x(s.context, Form::ab_diagonal, dense(ba, 9, 130), dense(bb, 130, 9),
                              dense(some, 9, 1)));
  const auto whole = s.get<float>(all, 81), diagonal = s.get<float>(some, 9);
  for (std::size_t i = 0; i < 9; ++i) CHECK(diagonal[i] == whole[10 * i]);
}

TEST_CASE("few columns, for which A is read as it is stored, change no bit") {
  Random random(11);
  const auto check = [&](std::uint64_t m, std::uint64_t n, std::uint64_t k, Form form) {
    const Case one(random, m, n, k, form, false);
    const auto expected = one.run(cpu_reference(), 1);
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    CAPTURE(static_cast<int>(form));
    for (const Backend& backend : cpu_variants()) {
      CAPTURE(std::string(backend.name));
      CHECK(one.run(backend, 2) == expected);
    }
  };
  for (Form form : forms) {
    for (std::uint64_t n : {1, 7, 16, 17, 32, 33, 64, 65, 200}) {
      for (std::uint64_t k : {255, 256, 1027, 2100}) check(1 + below(random, 40), n, k, form);
    }
    check(700, 48, 2100, form);  // more rows than columns
    check(100, 500, 2052, form);
  }
}

TEST_CASE("lines are selected, copied and compared") {
  Random random(12);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    constexpr std::uint64_t rows = 70, cols = 1000, stride = 1003;
    const std::vector<float> values = floats(random, rows * stride, true);
    const std::vector<std::int8_t> small = bytes(random, rows * stride);
    const std::vector<std::uint64_t> index = {69, 0, 5, 5, 64};
    Buffer* from = s.put(values);
    Buffer* narrow = s.put(small);
    Buffer* some_rows = s.room(index.size() * cols * 4);
    Buffer* some_columns = s.room(rows * index.size());
    VOLT_OK(backend.select(s.context, Lines::rows, 4, {from, 0, rows, cols, stride}, index.data(),
                           dense(some_rows, index.size(), cols)));
    VOLT_OK(backend.select(s.context, Lines::columns, 1, {narrow, 2, rows, cols, stride},
                           index.data(), dense(some_columns, rows, index.size())));
    const auto got = s.get<float>(some_rows, index.size() * cols);
    const auto got_columns = s.get<std::int8_t>(some_columns, rows * index.size());
    bool right = true;
    for (std::size_t i = 0; i < index.size(); ++i) {
      right = right &&
              std::memcmp(got.data() + i * cols, values.data() + index[i] * stride, cols * 4) == 0;
      for (std::uint64_t r = 0; r < rows; ++r) {
        right = right && got_columns[r * index.size() + i] == small[2 + r * stride + index[i]];
      }
    }
    CHECK(right);

    Buffer* twin = s.room(values.size() * 4);
    VOLT_OK(backend.copy(s.context, from, 0, twin, 0, values.size() * 4));
    std::uint64_t first = 0;
    VOLT_OK(backend.compare(s.context, from, 0, twin, 0, values.size() * 4, &first));
    CHECK(first == values.size() * 4);
    for (std::uint64_t at : {values.size() * 4 - 1, std::size_t{4097}, std::size_t{0}}) {
      VOLT_OK(backend.copy(s.context, from, 0, twin, 0, values.size() * 4));
      std::uint8_t byte = 0;
      VOLT_OK(backend.download(s.context, twin, at, &byte, 1));
      byte ^= 1;
      VOLT_OK(backend.upload(s.context, twin, at, &byte, 1));
      VOLT_OK(backend.compare(s.context, from, 0, twin, 0, values.size() * 4, &first));
      CHECK(first == at);
    }
  }
}

TEST_CASE("no thread count changes a bit where the work is shared") {
  Random random(7);
  for (Form form : forms) {
    const Case one(random, 131, 307, 541, form, false);
    const auto expected = one.run(cpu_reference(), 1);
    for (const Backend& backend : cpu_variants()) {
      CAPTURE(std::string(backend.name));
      const bool slow = std::string(backend.name) == "cpu-baseline";
      for (std::uint32_t threads : thread_counts) {
        if (!slow || threads == 3) CHECK(one.run(backend, threads) == expected);
      }
    }
  }
}

TEST_CASE("shapes beyond one panel in each direction are multiplied as the reference does") {
  Random random(8);
  const std::uint64_t shapes[][3] = {{3200, 3, 5}, {3, 3200, 5}, {5, 7, 5000}, {1, 1, 20'000}};
  for (const auto& shape : shapes) {
    for (Form form : forms) {
      const Case one(random, shape[0], shape[1], shape[2], form, false);
      const auto expected = one.run(cpu_reference(), 1);
      for (const Backend& backend : cpu_variants()) {
        CAPTURE(std::string(backend.name));
        CHECK(one.run(backend, 2) == expected);
      }
    }
  }
}

TEST_CASE("two calls along the accumulator give what one call over all of k gives") {
  Random random(9);
  constexpr std::uint64_t m = 17, n = 40, k = 300;
  const std::vector<float> a = floats(random, m * k, false), b = floats(random, k * n, false);
  const std::vector<float> c = floats(random, m * n, true);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* ba = s.put(a);
    Buffer* bb = s.put(b);
    const auto run = [&](std::uint64_t split) {
      Buffer* out = s.put(c);
      for (const auto& [k0, k1] : {std::pair{std::uint64_t{0}, split}, std::pair{split, k}}) {
        VOLT_OK(backend.matmul_f32x(s.context, Form::ab, {ba, k0, m, k1 - k0, k},
                                    {bb, k0 * n, k1 - k0, n, n}, dense(out, m, n)));
      }
      return bits_of(s.get<float>(out, m * n));
    };
    const auto whole = run(k);
    for (std::uint64_t split : {0, 1, 127, 128, 256, 299}) CHECK(run(split) == whole);
  }
}

TEST_CASE("one buffer may hold operands and result side by side") {
  Random random(10);
  constexpr std::uint64_t size = 24, stride = 3 * size;
  const std::vector<float> all = floats(random, size * stride, false);
  const auto run = [&](const Backend& backend) {
    Session s(backend);
    Buffer* buffer = s.put(all);
    VOLT_OK(backend.matmul_f32x(s.context, Form::abt, {buffer, 0, size, size, stride},
                                {buffer, 2 * size, size, size, stride},
                                {buffer, size, size, size, stride}));
    return bits_of(s.get<float>(buffer, size * stride));
  };
  const auto expected = run(cpu_reference());
  CHECK(expected != bits_of(all));
  for (const Backend& backend : cpu_variants()) CHECK(run(backend) == expected);
}

TEST_CASE("borrowed memory is read in place") {
  std::vector<float> a = {1, 2, 3};
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    Buffer* borrowed = nullptr;
    VOLT_OK(backend.borrow(s.context, a.data(), 12, &borrowed));
    Buffer* out = s.room(4);
    VOLT_OK(backend.matmul_f32x(s.context, Form::abt, dense(borrowed, 1, 3), dense(borrowed, 1, 3),
                                dense(out, 1, 1)));
    CHECK(s.get<float>(out, 1)[0] == 14.0f);
    backend.destroy(s.context, borrowed);
  }
}

}  // namespace volt::kernels::test
