// SPDX-License-Identifier: Apache-2.0

// What the operations of language models are for: their values against plain formulas in double,
// and each backward pass against differences of these.

#include <cmath>
#include <functional>

#include "kernels/network.hpp"
#include "places.hpp"

namespace volt::kernels::test {
namespace {

using Doubles = std::vector<double>;

std::vector<float> numbers(std::uint64_t seed, std::uint64_t count, float scale = 1.0f) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = scale * static_cast<float>(static_cast<std::int32_t>(random())) * 0x1p-31f;
  }
  return values;
}

Doubles doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void check_close(const std::vector<float>& got, const Doubles& expected) {
  REQUIRE(got.size() == expected.size());
  double largest = 0;
  for (double value : expected) largest = std::max(largest, std::fabs(value));
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(std::fabs(static_cast<double>(got[i]) - expected[i]) <= 4e-6 * largest);
  }
}

// `gradient` against central differences of `loss` at x.
void check_gradient(const std::vector<float>& gradient, const std::vector<float>& x,
                    const std::function<double(const Doubles&)>& loss) {
  constexpr double step = 1e-5;
  Doubles at = doubles(x), expected(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double middle = at[i];
    at[i] = middle + step;
    const double above = loss(at);
    at[i] = middle - step;
    const double below = loss(at);
    at[i] = middle;
    expected[i] = (above - below) / (2 * step);
  }
  check_close(gradient, expected);
}

// Runs on the fastest backend; the twins say that all others give the same.
struct Run : Session {
  Run() : Session(cpu(), 2) {}
  const Network& net = *table.network;
  Matrix put(const std::vector<float>& values, std::uint64_t rows) {
    return dense(Session::put(values), rows, values.size() / rows);
  }
  Matrix zeros(std::uint64_t rows, std::uint64_t cols) {
    return dense(room(rows * cols * 4), rows, cols);
  }
  std::vector<float> get(const Matrix& m) { return Session::get<float>(m.buffer, m.rows * m.cols); }
};

// ---- the definitions in double

Doubles norm(const Doubles& x, const Doubles& w, const Doubles* b) {
  const std::size_t n = w.size();
  Doubles y(x.size());
  for (std::size_t row = 0; row < x.size(); row += n) {
    double mean = 0, square = 0;
    for (std::size_t j = 0; j < n && b != nullptr; ++j) mean += x[row + j] / double(n);
    for (std::size_t j = 0; j < n; ++j) square += std::pow(x[row + j] - mean, 2) / double(n);
    for (std::size_t j = 0; j < n; ++j) {
      y[row + j] = (x[row + j] - mean) / std::sqrt(square + 1e-5) * w[j];
      if (b != nullptr) y[row + j] += (*b)[j];
    }
  }
  return y;
}

struct Shape {
  std::size_t queries, keys, heads, kv_heads, d;
  std::vector<std::uint32_t> first;
  double scale;
};

Doubles attend(const Shape& s, const Doubles& q, const Doubles& k, const Doubles& v) {
  Doubles out(q.size());
  for (std::size_t i = 0; i < s.queries; ++i) {
    for (std::size_t head = 0; head < s.heads; ++head) {
      const std::size_t self = s.keys - s.queries + i;
      const std::size_t column = head / (s.heads / s.kv_heads) * s.d,
                        own = (i * s.heads + head) * s.d;
      double sum = 0;
      for (std::size_t key = s.first[self]; key <= self; ++key) {
        const std::size_t at = key * s.kv_heads * s.d + column;
        double score = 0;
        for (std::size_t j = 0; j < s.d; ++j) score += q[own + j] * k[at + j];
        const double e = std::exp(score * s.scale);
        sum += e;
        for (std::size_t j = 0; j < s.d; ++j) out[own + j] += e * v[at + j];
      }
      for (std::size_t j = 0; j < s.d; ++j) out[own + j] /= sum;
    }
  }
  return out;
}

double sigma(double x) { return 1 / (1 + std::exp(-x)); }

double activated(const ActivationOf& f, double x) {
  if (f.kind == Activation::silu) return x * sigma(x);
  if (f.kind == Activation::gelu_tanh) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  const double s = sigma(x / double(f.temperature));
  return x * s * (1 - double(f.lambda) * (s * std::log(s) + (1 - s) * std::log(1 - s)));
}

Doubles turned(const Doubles& x, std::size_t half, const std::vector<std::uint32_t>& positions,
               const std::vector<std::uint64_t>& turns) {
  Doubles y = x;
  const std::size_t cols = x.size() / positions.size();
  for (std::size_t i = 0; i < positions.size(); ++i) {
    for (std::size_t head = i * cols; head < (i + 1) * cols; head += 2 * half) {
      for (std::size_t j = 0; j < half; ++j) {
        const double angle = 2 * M_PI * 0x1p-64 * double(positions[i] * turns[j]);
        const double a = x[head + j], b = x[head + half + j];
        y[head + j] = a * std::cos(angle) - b * std::sin(angle);
        y[head + half + j] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("norms and their gradients are those of the formulas") {
  constexpr std::uint64_t rows = 3, n = 150;
  const auto x = numbers(1, rows * n), w = numbers(2, n), b = numbers(3, n),
             dy = numbers(4, rows * n);
  const Doubles dx = doubles(x), dw = doubles(w), db = doubles(b), weights = doubles(dy);
  Run s;
  const Matrix mx = s.put(x, rows), mw = s.put(w, 1), mb = s.put(b, 1), mdy = s.put(dy, rows);
  const Matrix y = s.zeros(rows, n), kept = s.zeros(rows, 2), r = s.zeros(rows, 1);
  const Matrix gx = s.zeros(rows, n), gw = s.zeros(1, n), gb = s.zeros(1, n);
  SUBCASE("of root mean squares") {
    VOLT_OK(s.net.rms_norm(s.context, {mx, mw, 1e-5f, y, r}));
    check_close(s.get(y), norm(dx, dw, nullptr));
    VOLT_OK(s.net.rms_norm_backward(s.context, {mx, mw, r, mdy, gx, gw}));
    check_gradient(s.get(gx), x,
                   [&](const Doubles& at) { return dot(weights, norm(at, dw, nullptr)); });
    check_gradient(s.get(gw), w,
                   [&](const Doubles& at) { return dot(weights, norm(dx, at, nullptr)); });
  }
  SUBCASE("of layers") {
    VOLT_OK(s.net.layer_norm(s.context, {mx, mw, mb, 1e-5f, y, kept}));
    check_close(s.get(y), norm(dx, dw, &db));
    VOLT_OK(s.net.layer_norm_backward(s.context, {mx, mw, kept, mdy, gx, gw, gb}));
    check_gradient(s.get(gx), x,
                   [&](const Doubles& at) { return dot(weights, norm(at, dw, &db)); });
    check_gradient(s.get(gw), w,
                   [&](const Doubles& at) { return dot(weights, norm(dx, at, &db)); });
    check_gradient(s.get(gb), b,
                   [&](const Doubles& at) { return dot(weights, norm(dx, dw, &at)); });
  }
}

TEST_CASE("attention and its gradients are those of the formula") {
  // Heads that share keys, two samples, and queries that begin within the first.
  const Shape shape = {11, 14, 4, 2, 20, {0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8}, 0.25};
  const std::uint64_t rows = shape.queries, keys = shape.keys, width = shape.heads * shape.d;
  const auto q = numbers(5, rows * width, 2), k = numbers(6, keys * width / 2, 2);
  const auto v = numbers(7, keys * width / 2), dout = numbers(8, rows * width);
  const Doubles dq = doubles(q), dk = doubles(k), dv = doubles(v), weights = doubles(dout);
  Run s;
  const Matrix mq = s.put(q, rows), mk = s.put(k, keys), mv = s.put(v, keys),
               md = s.put(dout, rows);
  const Matrix first = dense(s.Session::put(shape.first), keys, 1);
  const Matrix out = s.zeros(rows, width), m = s.zeros(rows, 4), l = s.zeros(rows, 4);
  VOLT_OK(s.net.attention(s.context, {mq, mk, mv, first, 4, 2, 0.25f, out, m, l}));
  check_close(s.get(out), attend(shape, dq, dk, dv));
  const Matrix gq = s.zeros(rows, width), gk = s.zeros(keys, width / 2),
               gv = s.zeros(keys, width / 2);
  VOLT_OK(s.net.attention_backward(s.context,
                                   {mq, mk, mv, first, 4, 2, 0.25f, out, m, l, md, gq, gk, gv}));
  check_gradient(s.get(gq), q,
                 [&](const Doubles& at) { return dot(weights, attend(shape, at, dk, dv)); });
  check_gradient(s.get(gk), k,
                 [&](const Doubles& at) { return dot(weights, attend(shape, dq, at, dv)); });
  check_gradient(s.get(gv), v,
                 [&](const Doubles& at) { return dot(weights, attend(shape, dq, dk, at)); });
}

TEST_CASE("activations and their slopes are those of the formulas") {
  for (const Activation kind : {Activation::silu, Activation::gelu_tanh, Activation::era}) {
    CAPTURE(static_cast<int>(kind));
    const ActivationOf f = {kind, 0.8f, 0.5f};
    const auto x = numbers(9, 100, 6), u = numbers(10, 100), dout = numbers(11, 100);
    const auto value = [&](const Doubles& at, const Doubles* gate) {
      Doubles y(at.size());
      for (std::size_t i = 0; i < y.size(); ++i) {
        y[i] = activated(f, at[i]) * (gate != nullptr ? (*gate)[i] : 1.0);
      }
      return y;
    };
    const Doubles dx = doubles(x), du = doubles(u), weights = doubles(dout);
    Run s;
    const Matrix mx = s.put(x, 4), mu = s.put(u, 4), md = s.put(dout, 4), absent;
    const Matrix y = s.zeros(4, 25), gx = s.zeros(4, 25), gu = s.zeros(4, 25);
    VOLT_OK(s.net.activate(s.context, {f, mx, absent, y}));
    check_close(s.get(y), value(dx, nullptr));
    VOLT_OK(s.net.activate_backward(s.context, {f, mx, absent, md, gx, absent}));
    check_gradient(s.get(gx), x,
                   [&](const Doubles& at) { return dot(weights, value(at, nullptr)); });
    VOLT_OK(s.net.activate(s.context, {f, mx, mu, y}));
    check_close(s.get(y), value(dx, &du));
    VOLT_OK(s.net.activate_backward(s.context, {f, mx, mu, md, gx, gu}));
    check_gradient(s.get(gx), x, [&](const Doubles& at) { return dot(weights, value(at, &du)); });
    check_gradient(s.get(gu), u, [&](const Doubles& at) { return dot(weights, value(dx, &at)); });
  }
}

TEST_CASE("cross-entropy tells the loss, the confidence and the entropy, and leaves the gradient") {
  constexpr std::uint64_t n = 300;
  const auto logits = numbers(12, n, 8);
  constexpr std::uint32_t target = 17;
  const auto log_sum = [](const Doubles& s) {
    double sum = 0;
    for (double value : s) sum += std::exp(value);
    return std::log(sum);
  };
  Run s;
  const Matrix ms = s.put(logits, 1), told = s.zeros(1, 3);
  const Matrix targets = dense(s.Session::put(std::vector<std::uint32_t>{target}), 1, 1);
  VOLT_OK(s.net.cross_entropy(s.context, {ms, targets, told}));
  const Doubles at = doubles(logits);
  double entropy = 0, largest = 0;
  for (double value : at) {
    const double p = std::exp(value - log_sum(at));
    entropy -= p * std::log(p);
    largest = std::max(largest, p);
  }
  check_close(s.get(told), {log_sum(at) - at[target], largest, entropy});
  check_gradient(s.get(ms), logits, [&](const Doubles& x) { return log_sum(x) - x[target]; });
}

TEST_CASE("turning, rotating and dropping are linear, and their backward passes the transposes") {
  Run s;
  const std::vector<std::uint32_t> positions = {0, 1, 131'071};
  const std::vector<std::uint64_t> turns = {std::uint64_t{1} << 60, 0x123456789abcdef0, 77};
  const auto x = numbers(13, 3 * 12), dy = numbers(14, 3 * 12);
  const Matrix mx = s.put(x, 3), md = s.put(dy, 3);
  const Matrix mp = dense(s.Session::put(positions), 3, 1), mt = dense(s.Session::put(turns), 1, 3);
  VOLT_OK(s.net.rope(s.context, {mx, mp, mt, false}));
  check_close(s.get(mx), turned(doubles(x), 3, positions, turns));
  VOLT_OK(s.net.rope(s.context, {md, mp, mt, true}));
  check_gradient(s.get(md), x, [&](const Doubles& at) {
    return dot(doubles(dy), turned(at, 3, positions, turns));
  });

  const auto wide = numbers(15, 2 * 200);
  const Matrix from = s.put(wide, 2), there = s.zeros(2, 256), back = s.zeros(2, 200);
  VOLT_OK(s.net.rotate(s.context, {from, there, 0x1p-7f, false}));
  VOLT_OK(s.net.rotate(s.context, {there, back, 1.0f, true}));  // D H H D = 128
  check_close(s.get(back), doubles(wide));
  // Element 5 of the first group is a sum with the signs of its bits, and of pi's.
  constexpr std::uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
  double hadamard = 0;
  for (unsigned j = 0; j < 128; ++j) {
    const unsigned minus = unsigned(__builtin_popcount(j & 5)) + (pi[j / 32] >> j % 32 & 1);
    hadamard += (minus % 2 == 0 ? 1 : -1) * double(wide[j]);
  }
  CHECK(double(s.get(there)[5]) == doctest::Approx(hadamard / 128).epsilon(1e-5));

  const auto many = numbers(16, 100 * 90);
  const Matrix ones = s.put(std::vector<float>(9000, 1.0f), 100), mask = s.zeros(100, 90);
  const Matrix all = s.put(many, 100), some = s.zeros(100, 90);
  VOLT_OK(s.net.dropout(s.context, {ones, mask, 0.25f, 5, 3, 2}));
  VOLT_OK(s.net.dropout(s.context, {all, some, 0.25f, 5, 3, 2}));
  const auto kept = s.get(mask), dropped = s.get(some);
  double share = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    CHECK((kept[i] == 0.0f || kept[i] == 1.0f / 0.75f));
    CHECK(dropped[i] == many[i] * kept[i]);
    share += kept[i] != 0.0f ? 1.0 / 9000 : 0;
  }
  CHECK(std::fabs(share - 0.75) < 0.02);
}

TEST_CASE("AdamW takes the steps of its paper") {
  Run s;
  const auto p = numbers(17, 50), g = numbers(18, 50);
  const Matrix mp = s.put(p, 1), m = s.zeros(1, 50), v = s.zeros(1, 50), mg = s.put(g, 1);
  Doubles at = doubles(p), mean(50), square(50);
  for (int t = 1; t <= 3; ++t) {
    const auto one = static_cast<float>(1 - std::pow(0.9, t));
    const auto two = static_cast<float>(1 - std::pow(0.99, t));
    VOLT_OK(s.net.adam(s.context, {mp, m, v, mg, 1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, one, two, 0.5f}));
    for (std::size_t i = 0; i < at.size(); ++i) {
      const double d = double(g[i]) * 0.5;
      mean[i] = 0.9 * mean[i] + 0.1 * d;
      square[i] = 0.99 * square[i] + 0.01 * d * d;
      const double step = mean[i] / (1 - std::pow(0.9, t)) /
                          (std::sqrt(square[i] / (1 - std::pow(0.99, t))) + 1e-8);
      at[i] -= 1e-2 * (step + 0.1 * at[i]);
    }
  }
  check_close(s.get(mp), at);
}

}  // namespace volt::kernels::test
