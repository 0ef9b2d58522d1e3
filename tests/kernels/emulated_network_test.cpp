// SPDX-License-Identifier: Apache-2.0

// The CUDA twins of kernels/network.hpp without a GPU: every operation on random shapes, block by
// block in the emulator, bit for bit against the reference. Around and between the rows of each
// matrix lie NaNs, which must neither get into a result nor change.

#include <algorithm>
#include <functional>

#include "kernels/network.hpp"
#include "support.hpp"

namespace volt::kernels::test {
namespace {

using Bits = std::vector<std::uint32_t>;

struct Random : std::mt19937_64 {
  using std::mt19937_64::mt19937_64;
  std::uint64_t below(std::uint64_t n) { return (*this)() % n; }
  std::uint64_t extent(std::uint64_t most) {  // from 1
    static constexpr std::uint64_t edges[] = {1,  2,  3,   4,   7,   31,  32,  33,  63,
                                              64, 65, 127, 128, 129, 255, 256, 257, 1023};
    const std::uint64_t edge = edges[below(std::size(edges))];
    return below(2) == 0 && edge <= most ? edge : 1 + below(most);
  }
};

constexpr std::uint32_t outside = 0x7fedcba9;  // a NaN

enum class Values { tame, wild, zeros };

float value(Random& random, Values values) {
  static constexpr std::uint32_t odd[] = {0x7f800000, 0xff800000, 0xffc12345, 0x80000000,
                                          0x00000001, 0x807fffff, 0x7f7fffff};
  const std::uint64_t r = random();
  if (values == Values::wild && r % 64 == 0) {
    return std::bit_cast<float>(odd[(r >> 8) % std::size(odd)]);
  }
  if (values == Values::zeros) return r % 2 == 0 ? 0x1p-100f : -0x1p-100f;  // of products of two
  return static_cast<float>(static_cast<std::int32_t>(r >> 32)) * 0x1p-29f;
}

// The matrices of one call, in buffers of their own, with what they hold before it.
class Operands {
 public:
  using Matrices = std::vector<Matrix>;
  using Call = std::function<Status(const Network&, Context*, const Matrices&)>;

  explicit Operands(Random& random, Values values = Values::tame)
      : random_(random), values_(values) {}

  void floats(std::uint64_t rows, std::uint64_t cols) {
    words(rows, cols, [&] { return std::bit_cast<std::uint32_t>(value(random_, values_)); });
  }
  void words(std::uint64_t rows, std::uint64_t cols, const std::function<std::uint32_t()>& next,
             std::uint64_t width = 1) {
    const bool aligned = random_.below(2) == 0;
    const std::uint64_t gap = aligned ? (16 - cols % 16) % 16 : random_.below(3) * random_.below(9);
    const Matrix place = {nullptr, aligned ? 16 : random_.below(5), rows, cols, cols + gap};
    Bits bits((place.offset + rows * place.stride + 3) * width, outside);
    for (std::uint64_t r = 0; r < rows; ++r) {
      const auto row =
          bits.begin() + static_cast<std::ptrdiff_t>((place.offset + r * place.stride) * width);
      std::generate_n(row, cols * width, next);
    }
    places_.push_back(place);
    bits_.push_back(std::move(bits));
  }
  Bits& last() { return bits_.back(); }
  const Matrix& last_place() const { return places_.back(); }

  void check(const Call& call) const {
    const auto expected = after(cpu_reference(), call);
    for (const Backend& backend : fast_backends()) {
      CAPTURE(std::string(backend.name));
      const auto got = after(backend, call);
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        CHECK(got[i] == expected[i]);
      }
    }
  }

 private:
  // What all of them hold after the call.
  std::vector<Bits> after(const Backend& backend, const Call& call) const {
    Session s(backend);
    Matrices matrices = places_;
    for (std::size_t i = 0; i < matrices.size(); ++i) matrices[i].buffer = s.put(bits_[i]);
    VOLT_OK(call(*backend.network, s.context, matrices));
    std::vector<Bits> all;
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      all.push_back(s.get<std::uint32_t>(matrices[i].buffer, bits_[i].size()));
    }
    return all;
  }

  Random& random_;
  const Values values_;
  Matrices places_;
  std::vector<Bits> bits_;
};

using Matrices = Operands::Matrices;

// Every third round has NaNs and infinities.
Values of_round(int round) { return round % 3 == 2 ? Values::wild : Values::tame; }

}  // namespace

TEST_CASE("emulated norms are the reference's, whether weights' gradients are wanted or not") {
  Random random(1);
  for (int round = 0; round < 24; ++round) {
    const std::uint64_t rows = random.extent(150), n = random.extent(round % 4 == 0 ? 2500 : 200);
    CAPTURE(rows);
    CAPTURE(n);
    Operands rms(random, of_round(round)), layer(random, of_round(round));
    for (std::uint64_t r : {rows, std::uint64_t{1}, rows, rows, std::uint64_t{1}}) rms.floats(r, n);
    rms.floats(rows, 1);
    rms.check([](const Network& network, Context* c, const Matrices& m) {
      return network.rms_norm(c, {m[0], m[1], 1e-5f, m[2], m[5]});
    });
    const bool weights = round % 2 == 0;
    rms.check([=](const Network& network, Context* c, const Matrices& m) {
      return network.rms_norm_backward(c,
                                       {m[0], m[1], m[5], m[2], m[3], weights ? m[4] : Matrix{}});
    });
    for (std::uint64_t r : {rows, std::uint64_t{1}, std::uint64_t{1}, rows, rows}) {
      layer.floats(r, n);
    }
    layer.floats(rows, 2);
    layer.check([](const Network& network, Context* c, const Matrices& m) {
      return network.layer_norm(c, {m[0], m[1], m[2], 1e-5f, m[3], m[5]});
    });
    layer.floats(1, n);
    layer.check([=](const Network& network, Context* c, const Matrices& m) {
      return network.layer_norm_backward(
          c, {m[0], m[1], m[5], m[3], m[4], weights ? m[2] : Matrix{}, weights ? m[6] : Matrix{}});
    });
  }
}

TEST_CASE("emulated rope turns pairs as the reference does, both ways") {
  Random random(2);
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t rows = random.extent(40), half = random.extent(70);
    Operands x(random, of_round(round));
    x.floats(rows, 2 * half * (1 + random.below(4)));
    x.words(rows, 1, [&] { return static_cast<std::uint32_t>(random() >> random.below(60)); });
    x.words(
        1, half, [&] { return static_cast<std::uint32_t>(random()); }, 2);
    x.check([=](const Network& network, Context* c, const Matrices& m) {
      return network.rope(c, {m[0], m[1], m[2], round % 2 == 0});
    });
  }
}

namespace {

struct Shape {
  std::uint64_t keys, queries, d;
  std::uint32_t heads, kv_heads;
};

// q, k, v, first, out, m, l, dout, dq, dk, dv, of samples one after the other.
void attend(Random& random, const Shape& shape, Values values, float scale,
            std::uint64_t longest = 300) {
  CAPTURE(shape.keys);
  CAPTURE(shape.queries);
  CAPTURE(shape.d);
  CAPTURE(shape.heads);
  CAPTURE(shape.kv_heads);
  const std::uint64_t wide = shape.heads * shape.d, narrow = shape.kv_heads * shape.d;
  Operands all(random, values);
  all.floats(shape.queries, wide);
  all.floats(shape.keys, narrow);
  all.floats(shape.keys, narrow);
  std::uint32_t key = 0, first = 0;
  std::uint64_t left = 1 + random.below(longest);
  all.words(shape.keys, 1, [&] {
    if (left == 0) first = key, left = 1 + random.below(longest);
    --left, ++key;
    return first;
  });
  all.floats(shape.queries, wide);
  all.floats(shape.queries, shape.heads);
  all.floats(shape.queries, shape.heads);
  all.check([&](const Network& network, Context* c, const Matrices& m) {
    return network.attention(
        c, {m[0], m[1], m[2], m[3], shape.heads, shape.kv_heads, scale, m[4], m[5], m[6]});
  });
  all.floats(shape.queries, wide);
  all.floats(shape.queries, wide);
  all.floats(shape.keys, narrow);
  all.floats(shape.keys, narrow);
  all.check([&](const Network& network, Context* c, const Matrices& m) {
    const Status status = network.attention(
        c, {m[0], m[1], m[2], m[3], shape.heads, shape.kv_heads, scale, m[4], m[5], m[6]});
    if (status.code != Status::ok) return status;
    return network.attention_backward(c, {m[0], m[1], m[2], m[3], shape.heads, shape.kv_heads,
                                          scale, m[4], m[5], m[6], m[7], m[8], m[9], m[10]});
  });
}

}  // namespace

TEST_CASE("emulated attention is the reference's: shared heads, several samples, any width") {
  Random random(3);
  static constexpr std::uint64_t widths[] = {1, 3, 16, 17, 20, 64, 65, 80, 128, 130};
  for (int round = 0; round < 24; ++round) {
    const std::uint32_t kv_heads = static_cast<std::uint32_t>(1 + random.below(3));
    const auto group = static_cast<std::uint32_t>(1 + random.below(3));
    const std::uint64_t keys = random.extent(300);
    attend(random,
           {keys, keys, widths[random.below(std::size(widths))], group * kv_heads, kv_heads},
           of_round(round), 0.125f, round % 2 == 0 ? 300 : 60);
  }
}

TEST_CASE("emulated attention of the last queries alone, as in decoding") {
  Random random(4);
  for (std::uint64_t queries : {1, 2, 33, 64, 65, 130}) {
    attend(random, {131 + random.below(200), queries, 16, 4, 2}, Values::tame, 0.25f, 1000);
  }
}

// Underflowing products give scores of either zero, of which m is the first.
TEST_CASE("emulated attention keeps the sign of the first of equal zeros") {
  Random random(5);
  for (int round = 0; round < 4; ++round) {
    attend(random, {200, 200, 1 + random.below(3), 2, 1}, Values::zeros, 1.0f, 250);
  }
}

TEST_CASE("emulated activations, with and without what gates them") {
  Random random(6);
  for (int round = 0; round < 24; ++round) {
    const std::uint64_t rows = random.extent(60), n = random.extent(200);
    const ActivationOf f = {static_cast<Activation>(round % 3), 0.7f, 0.3f};
    const bool gated = round % 2 == 0;
    Operands all(random, of_round(round / 3));
    for (int i = 0; i < 5; ++i) all.floats(rows, n);
    all.check([=](const Network& network, Context* c, const Matrices& m) {
      return network.activate(c, {f, m[0], gated ? m[1] : Matrix{}, m[2]});
    });
    all.check([=](const Network& network, Context* c, const Matrices& m) {
      return network.activate_backward(
          c, {f, m[0], gated ? m[1] : Matrix{}, m[2], m[3], gated ? m[4] : Matrix{}});
    });
  }
}

TEST_CASE("emulated cross-entropy, of rows with and without a target") {
  Random random(7);
  for (int round = 0; round < 24; ++round) {
    const std::uint64_t rows = random.extent(20), n = random.extent(round % 3 == 0 ? 3000 : 300);
    Operands all(random, round % 4 == 3 ? Values::wild : Values::tame);
    all.floats(rows, n);
    all.words(rows, 1, [&] {
      return random.below(4) == 0 ? no_target : static_cast<std::uint32_t>(random.below(n));
    });
    all.floats(rows, 3);
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.cross_entropy(c, {m[0], m[1], m[2]});
    });
  }
}

TEST_CASE("emulated sums, scaling and dropout") {
  Random random(8);
  for (int round = 0; round < 30; ++round) {
    const std::uint64_t rows = random.extent(200), n = random.extent(200);
    CAPTURE(rows);
    CAPTURE(n);
    Operands all(random, of_round(round));
    for (std::uint64_t r : {rows, rows, std::uint64_t{1}}) all.floats(r, n);
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.add(c, {m[0], m[1]});
    });
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.add(c, {m[2], m[1]});
    });
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.sum_rows(c, {m[0], m[2]});
    });
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.scale(c, {m[0], -0.3f});
    });
    const std::uint64_t first = round % 5 == 0 ? ~random.below(1000) : random();
    const std::uint64_t seed = random();
    all.check([=](const Network& network, Context* c, const Matrices& m) {
      return network.dropout(c, {m[0], m[1], round % 4 * 0.3f, seed, first, 17});
    });
  }
}

TEST_CASE("emulated rows are added to those that ids name, in order") {
  Random random(9);
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t rows = random.extent(900), n = random.extent(round % 5 == 0 ? 1100 : 40);
    const std::uint64_t entries = 1 + random.below(round % 2 == 0 ? 5 : 2000);
    Operands all(random, of_round(round));
    all.words(rows, 1, [&] { return static_cast<std::uint32_t>(random.below(entries)); });
    all.floats(rows, n);
    all.floats(entries, n);
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.scatter_rows(c, {m[0], m[1], m[2]});
    });
  }
}

TEST_CASE("emulated rotation pads and cuts the last group") {
  Random random(10);
  for (int round = 0; round < 24; ++round) {
    const std::uint64_t rows = random.extent(20), groups = 1 + random.below(4);
    Operands all(random, of_round(round));
    for (int i = 0; i < 2; ++i) all.floats(rows, groups * 128 - random.below(128));
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.rotate(c, {m[0], m[1], 0x1p-7f});
    });
  }
}

TEST_CASE("emulated AdamW takes the reference's step") {
  Random random(11);
  for (int round = 0; round < 24; ++round) {
    const std::uint64_t rows = random.extent(40), n = random.extent(200);
    Operands all(random, of_round(round));
    for (int i = 0; i < 4; ++i) all.floats(rows, n);
    all.check([](const Network& network, Context* c, const Matrices& m) {
      return network.adam(
          c, {m[0], m[1], m[2], m[3], 2e-4f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.1f, 0.001f, 0.5f});
    });
  }
}

TEST_CASE("an emulated sum of squares is the reference's") {
  Random random(12);
  for (int round = 0; round < 30; ++round) {
    const std::uint64_t rows = random.extent(90), n = random.extent(round % 2 == 0 ? 40 : 700);
    CAPTURE(rows);
    CAPTURE(n);
    Operands all(random, round % 6 == 5 ? Values::wild : Values::tame);
    all.floats(rows, n);
    all.floats(1, 1);
    all.check([](const Network& network, Context* c, const Matrices& m) {
      float sum = -1;
      const Status status = network.square_sum(c, m[0], &sum);
      if (status.code != Status::ok || sum == 0.0f) return status;
      return network.scale(c, {m[1], sum});
    });
  }
}

}  // namespace volt::kernels::test
