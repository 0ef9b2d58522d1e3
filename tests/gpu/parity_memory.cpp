// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "parity.hpp"
#include "values.hpp"

namespace volt::gpu {
namespace {

using kernels::Lines;
using kernels::Matrix;

std::string text_of(std::uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

void compare_create(Comparison& comparison, Random& random, std::uint64_t bytes) {
  const auto garbage = random_words<std::uint8_t>(random, bytes);
  comparison.same("create", text_of(bytes), bytes, [&](Buffers& b) {
    {
      Buffers before(b.device());  // whose memory may come again: it has to be zeroed
      before.put(garbage);
    }
    return b.get(b.room(bytes), bytes);
  });
}

void compare_borrow(Comparison& comparison, Random& random, std::uint64_t bytes) {
  const auto values = random_words<std::uint8_t>(random, bytes + 1);
  comparison.same("borrow", text_of(bytes), bytes, [&](Buffers& b) {
    kernels::Buffer* borrowed = nullptr;
    check(b.table().borrow(b.context(), values.data() + 1, bytes, &borrowed));
    const Bytes got = b.get(borrowed, bytes);
    b.table().destroy(b.context(), borrowed);
    return got;
  });
}

void compare_transfer(Comparison& comparison, Random& random, std::uint64_t bytes) {
  const std::uint64_t offset = random.below(99);
  const auto around = random_words<std::uint8_t>(random, offset + bytes + 3);
  const auto values = random_words<std::uint8_t>(random, bytes);
  comparison.same("upload", text_of(bytes), bytes, [&](Buffers& b) {
    kernels::Buffer* const to = b.put(around);
    check(b.table().upload(b.context(), to, offset, values.data(), bytes));
    return b.get(to, around.size());
  });
  comparison.same("download", text_of(bytes), bytes, [&](Buffers& b) {
    Bytes got(bytes + 1, 0x5a);
    check(b.table().download(b.context(), b.put(around), offset, got.data(), bytes));
    return got;
  });
}

void compare_copy(Comparison& comparison, Random& random, std::uint64_t bytes) {
  const std::uint64_t from = random.below(99), to = from + bytes + random.below(20);
  const auto all = random_words<std::uint8_t>(random, to + bytes + 3);
  comparison.same("copy", text_of(bytes) + " within a buffer", bytes, [&](Buffers& b) {
    kernels::Buffer* const buffer = b.put(all);
    check(b.table().copy(b.context(), buffer, to, buffer, from, bytes));
    return b.get(buffer, all.size());
  });
}

// `at`: where the two differ, and again at the end; none for `bytes`.
void compare_compare(Comparison& comparison, Random& random, std::uint64_t bytes,
                     std::uint64_t at) {
  const std::uint64_t a = random.below(40), b = random.below(40);
  const auto values = random_words<std::uint8_t>(random, bytes);
  Bytes x = random_words<std::uint8_t>(random, a), y = random_words<std::uint8_t>(random, b);
  x.insert(x.end(), values.begin(), values.end());
  y.insert(y.end(), values.begin(), values.end());
  if (at < bytes) y[b + at] ^= 0x80, y.back() ^= at + 1 == bytes ? 0 : 1;
  const std::string what = text_of(bytes) + ", first different " + std::to_string(at);
  comparison.same("compare", what, bytes, [&](Buffers& buffers) {
    std::uint64_t first = 0;
    check(buffers.table().compare(buffers.context(), buffers.put(x), a, buffers.put(y), b, bytes,
                                  &first));
    Bytes got(8);
    for (int i = 0; i < 8; ++i) got[i] = static_cast<std::uint8_t>(first >> 8 * i);
    return got;
  });
}

template <class T>
void compare_select(Comparison& comparison, Random& random, Lines lines) {
  const std::uint64_t rows = 1 + random_extent(random, 400), cols = 1 + random_extent(random, 400);
  const std::uint64_t chosen = random_extent(random, 500);
  const bool by_rows = lines == Lines::rows;
  const Place from = random_place(random, rows, cols);
  const Place to =
      by_rows ? random_place(random, chosen, cols) : random_place(random, rows, chosen);
  std::vector<std::uint64_t> index(chosen);
  for (std::uint64_t& i : index) i = random.below(by_rows ? rows : cols);
  const auto values = random_words<T>(random, from.size), around = random_words<T>(random, to.size);
  const std::string what = std::to_string(chosen) + (by_rows ? " rows" : " columns") + " of " +
                           std::to_string(rows) + "x" + std::to_string(cols) + ", width " +
                           std::to_string(sizeof(T));
  comparison.same("select", what, to.size, [&](Buffers& b) {
    kernels::Buffer* const out = b.put(around);
    check(b.table().select(b.context(), lines, sizeof(T), from.in(b.put(values)), index.data(),
                           to.in(out)));
    return b.get(out, to.size * sizeof(T));
  });
}

}  // namespace

void compare_memory(Comparison& comparison, Extent extent) {
  Random random(4);
  std::vector<std::uint64_t> sizes = {0, 1, 3, 4, 15, 16, 17, 4095, 4096, 4097, 1 << 20};
  for (int i = 0; i < 10; ++i) sizes.push_back(random.below(1 << 20));
  if (extent == Extent::full) sizes.push_back(100'000'001);
  for (const std::uint64_t bytes : sizes) {
    compare_create(comparison, random, bytes);
    compare_borrow(comparison, random, bytes);
    compare_transfer(comparison, random, bytes);
    compare_copy(comparison, random, bytes);
    compare_compare(comparison, random, bytes, bytes);
    if (bytes == 0) continue;
    compare_compare(comparison, random, bytes, 0);
    compare_compare(comparison, random, bytes, bytes - 1);
    compare_compare(comparison, random, bytes, random.below(bytes));
  }
  for (int i = 0; i < (extent == Extent::full ? 200 : 20); ++i) {
    const Lines lines = i % 2 == 0 ? Lines::rows : Lines::columns;
    compare_select<std::uint32_t>(comparison, random, lines);
    compare_select<std::uint8_t>(comparison, random, lines);
  }
}

void compare_refusals(Comparison& comparison) {
  const auto case_of = [&](const char* what, auto call) {
    comparison.refused("refusals", what, [&](Buffers& b) {
      kernels::Buffer* const x = b.room(4096);
      kernels::Buffer* const y = b.room(4096);
      check(call(b.table(), b.context(), x, y));
      return Bytes();
    });
  };
  using kernels::Backend;
  using kernels::Buffer;
  using kernels::Context;
  using kernels::Form;
  std::uint8_t bytes[64] = {};
  const std::uint64_t far[] = {9};
  const auto square = [](Buffer* b, std::uint64_t n) { return Matrix{b, 0, n, n, n}; };
  case_of("upload", [&](const Backend& t, Context* c, Buffer* x, Buffer*) {
    return t.upload(c, x, 4090, bytes, 7);
  });
  case_of("download", [&](const Backend& t, Context* c, Buffer* x, Buffer*) {
    return t.download(c, x, 4090, bytes, 7);
  });
  case_of("fill_f32", [](const Backend& t, Context* c, Buffer* x, Buffer*) {
    return t.fill_f32(c, x, 1, 1024, 0, 0, 0);
  });
  case_of("fill_i8", [](const Backend& t, Context* c, Buffer* x, Buffer*) {
    return t.fill_i8(c, x, 0, 2, 0, 0, ~std::uint64_t{0});
  });
  case_of("quantise", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    return t.quantise(c, square(x, 9),
                      {square(y, 9), square(y, 9), kernels::Quantised::along_cols});
  });
  case_of("quantise_limbs", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    return t.quantise_limbs(c, square(x, 9), {square(y, 9), square(y, 9), square(y, 9)});
  });
  case_of("matmul_f32x", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    return t.matmul_f32x(c, Form::ab, square(x, 9), square(y, 8), square(y, 9));
  });
  case_of("matmul_i8", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    return t.matmul_i8(c, Form::abt, square(x, 9), square(y, 9), square(y, 9));
  });
  case_of("matmul_i8x", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    const kernels::Quantised q = {square(x, 9), {x, 100, 9, 1, 1}, kernels::Quantised::along_cols};
    return t.matmul_i8x(c, Form::ab, q, q, square(y, 9));
  });
  case_of("matmul_i8x2", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    const kernels::QuantisedLimbs q = {square(x, 9), square(x, 9), {x, 100, 9, 1, 1}};
    return t.matmul_i8x2(c, Form::ab_diagonal, q, q, square(y, 9));
  });
  case_of("weigh", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    return t.weigh(c, square(x, 9), {x, 0, 8, 2, 2}, {y, 0, 9, 4, 4});
  });
  case_of("page_digests", [&](const Backend& t, Context* c, Buffer* x, Buffer*) {
    return t.page_digests(c, x, 4096, 1, bytes);
  });
  case_of("map", [](const Backend& t, Context* c, Buffer* x, Buffer*) {
    return t.map(c, kernels::Function::exp, x, 0, x, 1, 2);
  });
  case_of("select", [&](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    return t.select(c, Lines::rows, 4, square(x, 9), far, {y, 0, 1, 9, 9});
  });
  case_of("compare", [](const Backend& t, Context* c, Buffer* x, Buffer* y) {
    std::uint64_t first = 0;
    return t.compare(c, x, 0, y, 4000, 97, &first);
  });
  case_of("copy", [](const Backend& t, Context* c, Buffer* x, Buffer*) {
    return t.copy(c, x, 0, x, 50, 51);
  });
}

}  // namespace volt::gpu
