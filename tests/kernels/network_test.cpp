// SPDX-License-Identifier: Apache-2.0

// What the definitions of language models' operations promise beyond their values: that rows,
// samples and micro-batches do not change each other's bits.

#include <limits>

#include "kernels/network.hpp"
#include "kernels/network_functions.hpp"
#include "places.hpp"

namespace volt::kernels::test {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

Matrix rows_of(const Matrix& all, std::uint64_t first, std::uint64_t count) {
  Matrix some = all;
  some.offset += first * all.stride;
  some.rows = count;
  return some;
}

// Attention of 5 heads over 2 x 150 keys of 24 columns, and its gradients from zero.
struct Attended : Session {
  static constexpr std::uint64_t keys = 300, d = 24, heads = 4, kv_heads = 2;

  Attended(const Backend& backend, Products by, bool odd = false)
      : Session(backend, 3), products(by) {
    Random random(20270301);
    const auto matrix = [&](std::uint64_t cols) {
      return dense(put(floats(random, keys * cols, false)), keys, cols);
    };
    q = matrix(heads * d), dout = matrix(heads * d);
    k = matrix(kv_heads * d), v = matrix(kv_heads * d);
    if (odd) {  // the last row of the first sample
      const std::vector<float> nans(kv_heads * d, nan);
      for (const Matrix& odd_one : {k, v}) {
        VOLT_OK(table.upload(context, odd_one.buffer, 149 * kv_heads * d * 4, nans.data(),
                             nans.size() * 4));
      }
    }
    for (std::uint32_t i = 0; i < keys; ++i) firsts.push_back(i < 150 ? 0 : 150);
    first = dense(put(firsts), keys, 1);
  }
  Matrix zeros(std::uint64_t rows, std::uint64_t cols) {
    return dense(room(rows * cols * 4), rows, cols);
  }
  std::vector<std::uint32_t> bits(const Matrix& matrix) {
    return bits_of(get<float>(matrix.buffer, matrix.rows * matrix.cols));
  }
  // Of queries [begin, end) over the keys from `key` to theirs.
  void attend(std::uint64_t begin, std::uint64_t end, std::uint64_t key = 0) {
    std::vector<std::uint32_t> from;
    for (std::uint64_t i = key; i < end; ++i) {
      from.push_back(firsts[i] - static_cast<std::uint32_t>(key));
    }
    VOLT_OK(table.network->attention(
        context,
        {rows_of(q, begin, end - begin), rows_of(k, key, end - key), rows_of(v, key, end - key),
         dense(put(from), end - key, 1), heads, kv_heads, 0.2f, rows_of(out, begin, end - begin),
         rows_of(m, begin, end - begin), rows_of(l, begin, end - begin), products}));
  }
  void gradients(std::uint64_t begin, std::uint64_t end) {
    std::vector<std::uint32_t> from;
    for (std::uint64_t i = begin; i < end; ++i) {
      from.push_back(firsts[i] - static_cast<std::uint32_t>(begin));
    }
    const auto part = [&](const Matrix& all) { return rows_of(all, begin, end - begin); };
    VOLT_OK(table.network->attention_backward(
        context,
        {part(q), part(k), part(v), dense(put(from), end - begin, 1), heads, kv_heads, 0.2f,
         part(out), part(m), part(l), part(dout), part(dq), part(dk), part(dv), products}));
  }

  Products products;
  std::vector<std::uint32_t> firsts;
  Matrix q, k, v, dout, first;
  Matrix out = zeros(keys, heads*d), m = zeros(keys, heads), l = zeros(keys, heads);
  Matrix dq = zeros(keys, heads*d), dk = zeros(keys, kv_heads*d), dv = zeros(keys, kv_heads*d);
};

// Calls check(backend, products) for each way of multiplying.
template <class Check>
void on_products(Check check) {
  for (const Backend& backend : all_backends()) {
    for (const Products products : {Products::chains, Products::limbs, Products::rounded}) {
      CAPTURE(std::string(backend.name));
      CAPTURE(static_cast<int>(products));
      check(backend, products);
    }
  }
}

}  // namespace

TEST_CASE("decoding row by row gives the bits of all rows at once") {
  on_products([](const Backend& backend, Products products) {
    Attended whole(backend, products), single(backend, products), pieces(backend, products);
    whole.attend(0, 300);
    for (std::uint64_t i = 0; i < 300; ++i) single.attend(i, i + 1);
    for (std::uint64_t i = 0; i < 300; i += 50) pieces.attend(i, i + 50);
    for (Attended* const other : {&single, &pieces}) {
      CHECK(other->bits(other->out) == whole.bits(whole.out));
      CHECK(other->bits(other->m) == whole.bits(whole.m));
      CHECK(other->bits(other->l) == whole.bits(whole.l));
    }
  });
}

TEST_CASE("samples side by side have the bits of each alone") {
  on_products([](const Backend& backend, Products products) {
    Attended whole(backend, products), apart(backend, products);
    whole.attend(0, 300);
    whole.gradients(0, 300);
    apart.attend(0, 150);
    apart.attend(150, 300, 150);
    apart.gradients(0, 150);
    apart.gradients(150, 300);
    CHECK(apart.bits(apart.out) == whole.bits(whole.out));
    CHECK(apart.bits(apart.dq) == whole.bits(whole.dq));
    CHECK(apart.bits(apart.dk) == whole.bits(whole.dk));
    CHECK(apart.bits(apart.dv) == whole.bits(whole.dv));
  });
}

TEST_CASE("what comes later in a sample, or in another, is not looked at") {
  on_products([](const Backend& backend, Products products) {
    Attended clean(backend, products), odd(backend, products, true);
    for (Attended* const one : {&clean, &odd}) {
      one->attend(0, 300);
      one->gradients(0, 300);
    }
    const auto expected = clean.get<float>(clean.out.buffer, 300 * 96);
    const auto got = odd.get<float>(odd.out.buffer, 300 * 96);
    const auto dq = odd.get<float>(odd.dq.buffer, 300 * 96);
    for (std::size_t i = 0; i < 300 * 96; ++i) {
      const bool self = i / 96 == 149;
      CHECK((self ? got[i] != got[i] : got[i] == expected[i]));
      CHECK((dq[i] != dq[i]) == self);
    }
  });
}

TEST_CASE("the largest score is +0 where all are -0") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    // Products below the smallest denormal: a product with 0 would be +0 beside the chain's +0.
    const std::vector<float> tiny(40, 1e-30f), below(40, -1e-30f), none(40, 0.0f);
    const std::vector<std::uint32_t> first(40, 0);
    Buffer* const results = s.room(3 * 40 * 4);
    VOLT_OK(backend.network->attention(s.context, {dense(s.put(below), 40, 1),
                                                   dense(s.put(tiny), 40, 1),
                                                   dense(s.put(none), 40, 1),
                                                   dense(s.put(first), 40, 1),
                                                   1,
                                                   1,
                                                   1.0f,
                                                   {results, 0, 40, 1, 1},
                                                   {results, 40, 40, 1, 1},
                                                   {results, 80, 40, 1, 1}}));
    const auto got = s.get<float>(results, 120);
    for (std::size_t i = 0; i < 40; ++i) {
      CHECK(std::bit_cast<std::uint32_t>(got[i]) == 0);
      CHECK(std::bit_cast<std::uint32_t>(got[40 + i]) == 0);
      CHECK(got[80 + i] == static_cast<float>(i + 1));
    }
  }
}

TEST_CASE("columns that are not there are zeros which take the signs of a rotation, too") {
  // With their signs columns 0 and 64 are -0 and the others that are there +0. Sum 63 of these
  // would be -0 beside columns that are all +0.
  constexpr std::uint32_t there = 65;
  std::vector<float> zeros(there);
  for (std::uint32_t j = 0; j < there; ++j) {
    zeros[j] = bits_float(rotation_sign(j) ^ (j % 64 == 0 ? 0x80000000u : 0u));
  }
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    Buffer* const y = s.room(4 * 128);
    VOLT_OK(backend.network->rotate(
        s.context, {dense(s.put(zeros), 1, there), dense(y, 1, 128), 1.0f, false}));
    CHECK(bits_of(s.get<float>(y, 128))[63] == 0);
  }
}

TEST_CASE("two micro-batches make the sums of one batch") {
  constexpr std::uint64_t rows = 37, n = 150, split = 11;
  Random random(20270302);
  const auto x = floats(random, rows * n, false), dy = floats(random, rows * n, false);
  const auto w = floats(random, n, false), start = floats(random, n, false);
  const auto kept = floats(random, rows * 2, false);
  std::vector<std::uint32_t> ids(rows);
  for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(below(random, 5));
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    const auto run = [&](std::uint64_t cut) {
      Session s(backend, 2);
      const Network& net = *backend.network;
      const Matrix mx = dense(s.put(x), rows, n), mdy = dense(s.put(dy), rows, n);
      const Matrix mw = dense(s.put(w), 1, n), mkept = dense(s.put(kept), rows, 2);
      const Matrix mids = dense(s.put(ids), rows, 1);
      const Matrix mr = {mkept.buffer, 0, rows, 1, 2};
      std::vector<Matrix> sums;
      for (int i = 0; i < 4; ++i) sums.push_back(dense(s.put(start), 1, n));
      const Matrix dx = dense(s.room(rows * n * 4), rows, n);
      const Matrix table = dense(s.room(5 * n * 4), 5, n);
      const auto part = [&](std::uint64_t first, std::uint64_t count) {
        const auto of = [&](const Matrix& all) { return rows_of(all, first, count); };
        VOLT_OK(net.rms_norm_backward(s.context, {of(mx), mw, of(mr), of(mdy), of(dx), sums[0]}));
        VOLT_OK(net.layer_norm_backward(
            s.context, {of(mx), mw, of(mkept), of(mdy), of(dx), sums[1], sums[2]}));
        VOLT_OK(net.sum_rows(s.context, {of(mx), sums[3]}));
        VOLT_OK(net.scatter_rows(s.context, {of(mids), of(mx), table}));
      };
      part(0, cut);
      part(cut, rows - cut);
      std::vector<std::vector<std::uint32_t>> bits;
      for (const Matrix& sum : sums) bits.push_back(bits_of(s.get<float>(sum.buffer, n)));
      bits.push_back(bits_of(s.get<float>(table.buffer, 5 * n)));
      bits.push_back(bits_of(s.get<float>(dx.buffer, rows * n)));
      return bits;
    };
    CHECK(run(split) == run(rows));
  }
}

TEST_CASE("dropout goes by the number of an element, wherever a batch is cut") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    const Matrix x = dense(s.put(std::vector<float>(30 * 77, 1.0f)), 30, 77);
    const Matrix whole = dense(s.room(30 * 77 * 4), 30, 77);
    const Matrix parts = dense(s.room(30 * 77 * 4), 30, 77);
    VOLT_OK(backend.network->dropout(s.context, {x, whole, 0.5f, 1, 6, 2}));
    for (std::uint64_t row = 0; row < 30; row += 10) {
      VOLT_OK(backend.network->dropout(
          s.context, {rows_of(x, row, 10), rows_of(parts, row, 10), 0.5f, 1, 6 + row * 77, 2}));
    }
    const auto expected = s.get<float>(whole.buffer, 30 * 77);
    CHECK(s.get<float>(parts.buffer, 30 * 77) == expected);
    // Element i is word 6 + i of the stream, whose upper bits fill_f32 shows as well.
    Buffer* const words = s.room(30 * 77 * 4);
    VOLT_OK(backend.fill_f32(s.context, words, 0, 30 * 77, 1, 2, 6));
    const auto random = s.get<float>(words, 30 * 77);
    for (std::size_t i = 0; i < random.size(); ++i) {
      const float upper = random[i] < 0 ? random[i] + 2.0f : random[i];  // in [0, 2)
      CHECK(expected[i] == (upper >= 1.0f ? 2.0f : 0.0f));
    }
  }
}

TEST_CASE(
    "the largest of a row stay by their size with d; NaN is above all, and the first of equals") {
  const std::vector<float> y = {1, -3,  2,    -2,    0.5f,  //
                                0, 0,   0,    -0.0f, 0,     //
                                5, nan, -inf, 6,     nan,   //
                                1, 1,   1,    1,     -1};
  const std::vector<float> d = {0, 0, 0.5f, 0, -4};
  std::vector<float> x(20);
  for (std::size_t i = 0; i < 20; ++i) x[i] = static_cast<float>(i) + 1;
  x[1] = nan;
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    const Matrix my = dense(s.put(y), 4, 5), md = dense(s.put(d), 1, 5), mx = dense(s.put(x), 4, 5);
    const Matrix out = dense(s.room(80), 4, 5);
    const Matrix counts = dense(s.put(std::vector<std::uint32_t>{7, 0, 0, 0, 0xffffffff}), 1, 5);
    VOLT_OK(backend.network->keep_largest(s.context, {my, md, 2, mx, out, counts}));
    const auto got = s.get<float>(out.buffer, 20);
    CHECK(std::bit_cast<std::uint32_t>(got[1]) == 0x7fc00000);
    const std::vector<float> expected = {0, 0,  0,  0, 5,    // of 1, 3, 2.5, 2, 3.5
                                         0, 0,  8,  0, 10,   // of 0, 0, 0.5, 0, 4
                                         0, 12, 0,  0, 15,   // of 5, NaN, inf, 6, NaN
                                         0, 0,  18, 0, 20};  // of 1, 1, 1.5, 1, 5
    for (std::size_t i = 2; i < 20; ++i) {
      CAPTURE(i);
      CHECK(std::bit_cast<std::uint32_t>(got[i]) == std::bit_cast<std::uint32_t>(expected[i]));
    }
    CHECK(s.get<std::uint32_t>(counts.buffer, 5) == std::vector<std::uint32_t>{7, 2, 2, 0, 3});
    // Equals: of the second row all but column 2 and 4 are.
    VOLT_OK(backend.network->keep_largest(s.context, {my, md, 4, mx, out, {}}));
    const auto four = s.get<float>(out.buffer, 20);
    CHECK(std::vector<float>(four.begin() + 5, four.begin() + 10) ==
          std::vector<float>{6, 7, 8, 0, 10});
  }
}

TEST_CASE("a logit of -inf has no share of the entropy, a NaN makes all of a row NaN") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend);
    const Matrix logits =
        dense(s.put(std::vector<float>{1, -inf, 1, -3e38f, nan, 0, 0, 0, 1, 2, 3, 4}), 3, 4);
    const Matrix targets = dense(s.put(std::vector<std::uint32_t>{0, 1, no_target}), 3, 1);
    const Matrix told = dense(s.room(9 * 4), 3, 3);
    VOLT_OK(backend.network->cross_entropy(s.context, {logits, targets, told}));
    const auto t = s.get<float>(told.buffer, 9), g = s.get<float>(logits.buffer, 12);
    const float ln2 = 0x1.62e43p-1f;
    CHECK(std::vector<float>(t.begin(), t.begin() + 3) == std::vector<float>{ln2, 0.5f, ln2});
    CHECK(std::vector<float>(g.begin(), g.begin() + 4) == std::vector<float>{-0.5f, 0, 0.5f, 0});
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::bit_cast<std::uint32_t>(t[3 + i]) == 0x7fc00000);
    for (std::size_t i = 0; i < 4; ++i) CHECK(std::bit_cast<std::uint32_t>(g[4 + i]) == 0x7fc00000);
    CHECK(std::vector<float>(t.begin() + 6, t.end()) == std::vector<float>(3, 0.0f));
    CHECK(std::vector<float>(g.begin() + 8, g.end()) == std::vector<float>(4, 0.0f));
  }
}

}  // namespace volt::kernels::test
