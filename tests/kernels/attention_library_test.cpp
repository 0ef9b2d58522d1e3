// SPDX-License-Identifier: Apache-2.0

// How attention of the profile `native` gathers samples for a library and scatters what comes of
// them, in the emulator, with a stand-in for cuDNN.

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/context_cuda.hpp"
#include "kernels/exact.hpp"
#include "kernels/network.hpp"
#include "kernels/samples.hpp"
#include "support.hpp"

namespace volt::kernels::test {
namespace {

using Values = std::vector<float>;

// Attention as the library does it, in doubles, with results in bf16. It fails where what no sample
// has is not zero: a NaN there would spread.
class StandIn final : public Libraries {
 public:
  std::set<AttentionShape> shapes;  // that it was asked to do
  bool has_forward = true, has_backward = true;

  Status multiply(const Product<std::uint16_t, float>&, Scratch) override {
    return {Status::failed, "not asked for"};
  }
  std::optional<std::uint64_t> attention_bytes(const AttentionShape& shape) override {
    if (shape.backward ? !has_backward : !has_forward) return {};
    return 1000;
  }
  Status attend(const AttentionShape& shape, const AttentionData& data) override {
    shapes.insert(shape);
    for (std::uint32_t i = 0; i < shape.samples; ++i) {
      if (data.lengths[i] < 1 || data.lengths[i] > static_cast<int>(shape.rows)) {
        return {Status::failed, "a length that cannot be"};
      }
      check_filled(shape, data, i);
      for (std::uint32_t kv = 0; kv < shape.kv_heads; ++kv) {
        Group{shape, data, i, kv, static_cast<std::uint32_t>(data.lengths[i])}.run();
      }
    }
    std::fill_n(data.workspace, 1000, std::byte{0xff});
    return {};
  }

 private:
  // The heads of a sample that share their keys.
  struct Group {
    const AttentionShape& shape;
    const AttentionData& data;
    std::uint32_t sample, kv, length;
    std::vector<double> dk{}, dv{};

    void run() {
      const std::uint32_t heads = shape.heads / shape.kv_heads;
      dk.assign(std::size_t{length} * shape.width, 0.0);
      dv = dk;
      for (std::uint32_t head = kv * heads; head < (kv + 1) * heads; ++head) {
        for (std::uint32_t i = 0; i < length; ++i) query(head, i);
      }
      for (std::uint32_t j = 0; shape.backward && j < length; ++j) {
        round(&dk[std::size_t{j} * shape.width], of_key(data.dk, j));
        round(&dv[std::size_t{j} * shape.width], of_key(data.dv, j));
      }
    }

    std::uint16_t* line(std::uint16_t* matrix, std::uint32_t row, std::uint32_t heads,
                        std::uint32_t head) const {
      const std::uint64_t all = sample * std::uint64_t{shape.rows} + row;
      return matrix + (all * heads + head) * shape.width;
    }
    std::uint16_t* of_key(std::uint16_t* matrix, std::uint32_t row) const {
      return line(matrix, row, shape.kv_heads, kv);
    }
    void round(const double* from, std::uint16_t* to) const {
      for (std::uint32_t c = 0; c < shape.width; ++c) to[c] = to_bf16(static_cast<float>(from[c]));
    }
    void add(double by, const std::uint16_t* from, double* to) const {
      for (std::uint32_t c = 0; c < shape.width; ++c) to[c] += by * double{from_bf16(from[c])};
    }
    double dot(const std::uint16_t* a, const std::uint16_t* b) const {
      double sum = 0;
      for (std::uint32_t c = 0; c < shape.width; ++c) {
        sum += double{from_bf16(a[c])} * double{from_bf16(b[c])};
      }
      return sum;
    }

    void query(std::uint32_t head, std::uint32_t i) {
      float& kept = data.statistics[(sample * std::uint64_t{shape.heads} + head) * shape.rows + i];
      const std::uint16_t* const q = line(data.q, i, shape.heads, head);
      std::uint16_t* const out = line(data.out, i, shape.heads, head);
      std::vector<double> s(i + 1), result(shape.width);
      double sum = 0;
      for (std::uint32_t j = 0; j <= i; ++j) {
        s[j] = dot(q, of_key(data.k, j)) * double{data.scale};
        sum += std::exp(s[j]);
      }
      if (!shape.backward) {
        for (std::uint32_t j = 0; j <= i; ++j) {
          add(std::exp(s[j]) / sum, of_key(data.v, j), result.data());
        }
        round(result.data(), out);
        kept = static_cast<float>(std::log(sum));
        return;
      }
      const std::uint16_t* const dout = line(data.dout, i, shape.heads, head);
      const double t = dot(dout, out);
      for (std::uint32_t j = 0; j <= i; ++j) {
        const double p = std::exp(s[j] - double{kept});
        const double ds = p * (dot(dout, of_key(data.v, j)) - t) * double{data.scale};
        add(ds, of_key(data.k, j), result.data());
        add(ds, q, &dk[std::size_t{j} * shape.width]);
        add(p, dout, &dv[std::size_t{j} * shape.width]);
      }
      round(result.data(), line(data.dq, i, shape.heads, head));
    }
  };

  static void check_filled(const AttentionShape& shape, const AttentionData& data,
                           std::uint32_t sample) {
    const auto length = static_cast<std::uint32_t>(data.lengths[sample]);
    const auto zero = [&](const std::uint16_t* matrix, std::uint64_t columns) {
      const std::uint16_t* const from = matrix + sample * shape.rows * columns;
      return std::all_of(from + length * columns, from + shape.rows * columns,
                         [](std::uint16_t value) { return value == 0; });
    };
    const std::uint64_t of_q = std::uint64_t{shape.heads} * shape.width,
                        of_k = std::uint64_t{shape.kv_heads} * shape.width;
    CHECK(zero(data.q, of_q));
    CHECK(zero(data.k, of_k));
    CHECK(zero(data.v, of_k));
    if (!shape.backward) return;
    CHECK(zero(data.out, of_q));
    CHECK(zero(data.dout, of_q));
    for (std::uint32_t head = 0; head < shape.heads; ++head) {
      const float* const kept =
          data.statistics + (sample * std::uint64_t{shape.heads} + head) * shape.rows;
      CHECK(std::all_of(kept + length, kept + shape.rows, [](float value) { return value == 0; }));
    }
  }
};

struct Pack {
  std::vector<std::uint32_t> lengths;
  std::uint32_t heads, kv_heads, d;

  std::uint64_t rows() const {
    std::uint64_t sum = 0;
    for (const std::uint32_t length : lengths) sum += length;
    return sum;
  }
  std::vector<std::uint32_t> first() const {
    std::vector<std::uint32_t> all;
    for (const std::uint32_t length : lengths) {
      all.insert(all.end(), length, static_cast<std::uint32_t>(all.size()));
    }
    return all;
  }
};

// Matrices with a gap after each row, and the results of both operations.
struct Run {
  Run(const Backend& backend, const Pack& pack, std::unique_ptr<Libraries> libraries)
      : s(backend), pack_(pack) {
    if (libraries) cuda_context(*s.context).libraries = std::move(libraries);
  }

  Matrix matrix(std::uint32_t heads, std::uint32_t width, std::uint32_t seed, float by = 1.0f) {
    const std::uint64_t cols = std::uint64_t{heads} * width, stride = cols + 3;
    std::mt19937 random(seed);
    Values values(5 + pack_.rows() * stride);
    for (float& value : values) {
      value = by * static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 500.0f;
    }
    return {s.put(values), 5, pack_.rows(), cols, stride};
  }

  void go() {
    const float scale = 1.0f / std::sqrt(static_cast<float>(pack_.d));
    const std::uint32_t h = pack_.heads, kv = pack_.kv_heads, d = pack_.d;
    const Matrix first = dense(s.put(pack_.first()), pack_.rows(), 1);
    const Matrix q = matrix(h, d, 1), k = matrix(kv, d, 2), v = matrix(kv, d, 3);
    out = matrix(h, d, 4);
    m = matrix(h, 1, 5);
    l = matrix(h, 1, 6);
    VOLT_OK(s.table.network->attention(
        s.context, {q, k, v, first, h, kv, scale, out, m, l, Products::rounded}));
    const Matrix dout = matrix(h, d, 7);
    dq = matrix(h, d, 8, 0.1f);
    dk = matrix(kv, d, 9, 0.1f);
    dv = matrix(kv, d, 10, 0.1f);
    VOLT_OK(s.table.network->attention_backward(
        s.context, {q, k, v, first, h, kv, scale, out, m, l, dout, dq, dk, dv, Products::rounded}));
  }

  Values values(const Matrix& x) { return s.get<float>(x.buffer, x.offset + x.rows * x.stride); }

  Session s;
  Matrix out, m, l, dq, dk, dv;

 private:
  const Pack pack_;
};

// The relative difference in the Frobenius norm.
double apart(const Values& a, const Values& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    sum += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / sum);
}

// bf16 has 8 bits: out and the gradients are off by up to 2^-9 each, and out goes into dq and dk
// once more.
constexpr double most = 1e-2;

void compare(const Pack& pack) {
  Run reference(cpu_reference(), pack, nullptr);
  reference.go();
  for (const Backend& backend : fast_backends()) {
    Run run(backend, pack, std::make_unique<StandIn>());
    run.go();
    CHECK(apart(run.values(run.out), reference.values(reference.out)) < most);
    CHECK(apart(run.values(run.dq), reference.values(reference.dq)) < most);
    CHECK(apart(run.values(run.dk), reference.values(reference.dk)) < most);
    CHECK(apart(run.values(run.dv), reference.values(reference.dv)) < most);
    const Values m = run.values(run.m), l = run.values(run.l);
    const Values rm = reference.values(reference.m), rl = reference.values(reference.l);
    for (std::uint64_t i = 0; i < run.m.rows * run.m.cols; ++i) {
      const std::uint64_t at = run.m.offset + i / run.m.cols * run.m.stride + i % run.m.cols;
      REQUIRE(l[at] == 1.0f);
      REQUIRE(double{m[at]} == doctest::Approx(double{rm[at]} + std::log(double{rl[at]})));
    }
  }
}

TEST_CASE("a library's attention is that of the reference, for heads and widths of all kinds") {
  compare({{5, 1, 64, 20, 65}, 4, 2, 16});
  compare({{70, 3}, 3, 3, 5});  // filled up to a width of 8
  compare({{130, 200, 1}, 2, 1, 8});
  compare({{1}, 1, 1, 1});
}

TEST_CASE("more samples than a batch has go in several") {
  compare({std::vector<std::uint32_t>(70, 2), 1, 1, 8});
}

TEST_CASE("samples are batched by length") {
  const auto rows_of = [](std::uint32_t length) {
    const std::vector<std::uint32_t> first(length, 0);
    return batches_of(first.data(), length, 1).value().front().rows;
  };
  CHECK(rows_of(1) == 64);
  CHECK(rows_of(64) == 64);
  CHECK(rows_of(65) == 128);
  CHECK(rows_of(129) == 192);
  CHECK(rows_of(193) == 256);
  CHECK(rows_of(257) == 384);
  CHECK(rows_of(1025) == 1536);
  CHECK(rows_of(2049) == 3072);
  const Pack pack{{3, 300, 2, 100, 64}, 1, 1, 1};
  const auto first = pack.first();
  const std::vector<SampleBatch> batches = batches_of(first.data(), first.size(), 1).value();
  REQUIRE(batches.size() == 3);
  CHECK(batches[0].rows == 64);
  CHECK(batches[0].samples == 32);
  CHECK(batches[0].first[1] == 303);
  CHECK(batches[0].length[2] == 64);
  CHECK(batches[0].length[3] == 0);
  CHECK(batches[1].rows == 128);
  CHECK(batches[1].samples == 16);
  CHECK(batches[2].rows == 384);
  CHECK(batches[2].samples == 5);
}

TEST_CASE("rows that are not samples one after the other are no batch") {
  for (const std::vector<std::uint32_t>& first :
       {std::vector<std::uint32_t>{0, 0, 1}, {1, 1}, {0, 5}, {0, 1, 0}}) {
    CHECK(!batches_of(first.data(), first.size(), 1));
  }
}

TEST_CASE("the same kinds of batch occur whatever the samples") {
  for (const Backend& backend : fast_backends()) {
    std::set<AttentionShape> shapes;
    for (std::uint32_t length = 1; length <= 128; length += 9) {
      Run run(backend, {{length, 128, 3}, 1, 1, 8}, std::make_unique<StandIn>());
      run.go();
      shapes.merge(static_cast<StandIn&>(*cuda_context(*run.s.context).libraries).shapes);
    }
    CHECK(shapes.size() == 4);  // of 64 and 128 rows, forward and backward
  }
}

TEST_CASE("where samples begin is read again when memory has changed") {
  for (const Backend& backend : fast_backends()) {
    Session s(backend);
    CudaContext& cuda = cuda_context(*s.context);
    Buffer* const words = s.put(std::vector<std::uint32_t>{0, 0, 2, 2});
    const View<const std::uint32_t> first = {reinterpret_cast<const std::uint32_t*>(words->data), 4,
                                             1, 1};
    const auto* const batches = cuda.batches(first);
    REQUIRE(batches != nullptr);
    CHECK(batches->front().length[0] == 2);
    words->writable[8] = std::byte{9};  // as no call does it
    CHECK(cuda.batches(first) == batches);
    const std::uint32_t all[4] = {};
    VOLT_OK(backend.upload(s.context, words, 0, all, sizeof all));
    REQUIRE(cuda.batches(first) != nullptr);
    CHECK(cuda.batches(first)->front().length[0] == 4);
    Buffer* const other = s.put(std::vector<std::uint32_t>{0, 1, 2, 3});
    VOLT_OK(backend.copy(s.context, other, 0, words, 0, 16));
    CHECK(cuda.batches(first)->front().length[0] == 1);
    const std::uint64_t index[4] = {0, 0, 0, 0};
    VOLT_OK(
        backend.select(s.context, Lines::rows, 4, dense(other, 4, 1), index, dense(words, 4, 1)));
    CHECK(cuda.batches(first)->front().length[0] == 4);
  }
}

TEST_CASE("what a library does not have is done by chains over the rounded operands") {
  const Pack pack{{20, 7}, 2, 1, 8};
  Run reference(cpu_reference(), pack, nullptr);
  reference.go();
  for (const Backend& backend : fast_backends()) {
    Run none(backend, pack, nullptr);
    none.go();
    CHECK(bits_of(none.values(none.out)) == bits_of(reference.values(reference.out)));
    CHECK(bits_of(none.values(none.dk)) == bits_of(reference.values(reference.dk)));
    for (const bool backward : {false, true}) {
      auto libraries = std::make_unique<StandIn>();
      (backward ? libraries->has_backward : libraries->has_forward) = false;
      Run half(backend, pack, std::move(libraries));
      half.go();
      CHECK(apart(half.values(half.out), reference.values(reference.out)) < most);
      CHECK(apart(half.values(half.dq), reference.values(reference.dq)) < most);
    }
  }
}

TEST_CASE("queries that are only the last of the keys are no library's") {
  for (const Backend& backend : fast_backends()) {
    Session s(backend);
    auto owned = std::make_unique<StandIn>();
    const StandIn& library = *owned;
    cuda_context(*s.context).libraries = std::move(owned);
    const auto room = [&](std::uint64_t rows) { return dense(s.room(rows * 8 * 4), rows, 8); };
    VOLT_OK(backend.network->attention(
        s.context, {room(1), room(3), room(3), dense(s.room(12), 3, 1), 1, 1, 1.0f, room(1),
                    dense(s.room(4), 1, 1), dense(s.room(4), 1, 1), Products::rounded}));
    CHECK(library.shapes.empty());
  }
}

}  // namespace
}  // namespace volt::kernels::test
