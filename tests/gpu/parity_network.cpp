// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <functional>

#include "kernels/network.hpp"
#include "parity.hpp"
#include "values.hpp"

namespace volt::gpu {
namespace {

using kernels::Matrix;
using Words = std::vector<std::uint32_t>;

// One call of kernels::Network: its matrices with what they hold before it.
class Case {
 public:
  using Matrices = std::vector<Matrix>;
  using Call = std::function<kernels::Status(const kernels::Network&, kernels::Context*,
                                             const Matrices&, float& told)>;

  Case(Random& random, bool wild, std::string operation)
      : random_(random), wild_(wild), operation_(std::move(operation)) {}

  Case& floats(std::uint64_t rows, std::uint64_t cols, int count = 1) {
    for (; count > 0; --count) {
      const Place place = random_place(random_, rows, cols);
      const std::vector<float> values = random_floats(random_, place.size, wild_);
      Words bits(values.size());
      if (!bits.empty()) std::memcpy(bits.data(), values.data(), 4 * bits.size());
      places_.push_back(place);
      memory_.push_back(std::move(bits));
    }
    return *this;
  }
  /// One word a row.
  Case& words(const Words& values) {
    Place place = random_place(random_, values.size(), 1);
    Words memory(place.size);
    for (std::size_t i = 0; i < values.size(); ++i) {
      memory[place.offset + i * place.stride] = values[i];
    }
    places_.push_back(place);
    memory_.push_back(std::move(memory));
    return *this;
  }
  /// A row of 64-bit words.
  Case& turns(std::uint64_t count) {
    places_.push_back({1, count, count, 0, count});
    memory_.push_back(random_words<std::uint32_t>(random_, 2 * count));
    return *this;
  }
  Case& bytes(std::uint64_t rows, std::uint64_t cols) {
    places_.push_back(random_place(random_, rows, cols));
    memory_.push_back(random_words<std::uint32_t>(random_, (places_.back().size + 3) / 4));
    return *this;
  }
  Case& halves(std::uint64_t rows, std::uint64_t cols) {
    places_.push_back(random_place(random_, rows, cols));
    memory_.push_back(random_words<std::uint32_t>(random_, (places_.back().size + 1) / 2));
    return *this;
  }
  Case& absent() {
    places_.push_back({});
    memory_.push_back({});
    return *this;
  }

  void compare(Comparison& comparison, std::uint64_t steps, const Call& call) const {
    std::string what;
    for (const Place& place : places_) {
      if (!what.empty()) what += ", ";
      what += std::to_string(place.rows) + "x" + std::to_string(place.cols);
    }
    comparison.same(operation_, wild_ ? what + " with NaNs" : what, steps, [&](Buffers& b) {
      Matrices matrices;
      for (std::size_t i = 0; i < places_.size(); ++i) {
        matrices.push_back(memory_[i].empty() ? Matrix{} : places_[i].in(b.put(memory_[i])));
      }
      float told = 0;
      check(call(*b.table().network, b.context(), matrices, told));
      Bytes all(sizeof told);
      std::memcpy(all.data(), &told, sizeof told);
      for (std::size_t i = 0; i < places_.size(); ++i) {
        if (memory_[i].empty()) continue;
        const Bytes one = b.get(matrices[i].buffer, 4 * memory_[i].size());
        all.insert(all.end(), one.begin(), one.end());
      }
      return all;
    });
  }

 private:
  Random& random_;
  bool wild_;
  std::string operation_;
  std::vector<Place> places_;
  std::vector<Words> memory_;
};

#define VOLT_CALL                                                                         \
  [=]([[maybe_unused]] const kernels::Network& net, [[maybe_unused]] kernels::Context* c, \
      [[maybe_unused]] const Case::Matrices& m, [[maybe_unused]] float& told)

struct Heads {
  std::uint64_t keys, rows, d;
  std::uint32_t heads, kv_heads;
};

// Samples one after the other; a GPU's tiles have 64 rows, 128 keys and 128 columns.
Words samples(Random& random, std::uint64_t rows) {
  const std::uint64_t longest = random.one_in(3) ? 2 * rows : 1 + random.below(300);
  Words first;
  while (first.size() < rows) {
    const std::uint64_t length = std::min(1 + random.below(longest), rows - first.size());
    first.insert(first.end(), length, static_cast<std::uint32_t>(first.size()));
  }
  return first;
}

void compare_attention(Comparison& comparison, Random& random, const Heads& s, bool wild) {
  const std::uint64_t wide = s.heads * s.d, narrow = s.kv_heads * s.d;
  const std::uint64_t steps = s.rows * s.keys * wide;
  const std::uint32_t heads = s.heads, kv = s.kv_heads;
  const Words first = samples(random, s.keys);
  const auto begin = [&](const std::string& operation) {
    Case made(random, wild, operation);
    made.floats(s.rows, wide).floats(s.keys, narrow, 2).words(first).floats(s.rows, wide);
    made.floats(s.rows, heads, 2);
    return made;
  };
  for (const auto products : {kernels::Products::chains, kernels::Products::limbs}) {
    const std::string with = products == kernels::Products::limbs ? " by limbs" : "";
    begin("attention" + with)
        .compare(
            comparison, 2 * steps, VOLT_CALL {
              return net.attention(
                  c, {m[0], m[1], m[2], m[3], heads, kv, 0.2f, m[4], m[5], m[6], products});
            });
    begin("attention_backward" + with)
        .floats(s.rows, wide, 2)
        .floats(s.keys, narrow, 2)
        .compare(
            comparison, 5 * steps, VOLT_CALL {
              return net.attention_backward(c, {m[0], m[1], m[2], m[3], heads, kv, 0.2f, m[4], m[5],
                                                m[6], m[7], m[8], m[9], m[10], products});
            });
  }
}

void compare_norms(Comparison& comparison, Random& random, std::uint64_t rows, std::uint64_t n,
                   bool wild) {
  const std::uint64_t heads = 1 + rows % 3, steps = 4 * rows * n;
  Case(random, wild, "rms_norm")
      .floats(rows, heads * n, 2)
      .floats(1, n)
      .floats(rows, heads)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.rms_norm(c, {m[0], m[2], 1e-5f, m[1], m[3]});
          });
  Case(random, wild, "layer_norm")
      .floats(rows, n, 2)
      .floats(1, n, 2)
      .floats(rows, 2)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.layer_norm(c, {m[0], m[2], m[3], 1e-5f, m[1], m[4]});
          });
  for (const bool weights : {true, false}) {
    Case rms(random, wild, "rms_norm_backward"), layer(random, wild, "layer_norm_backward");
    rms.floats(rows, heads * n, 3).floats(1, n).floats(rows, heads);
    layer.floats(rows, n, 3).floats(1, n).floats(rows, 2);
    weights ? rms.floats(1, n) : rms.absent();
    weights ? layer.floats(1, n, 2) : layer.absent().absent();
    rms.compare(
        comparison, steps, VOLT_CALL {
          return net.rms_norm_backward(c, {m[0], m[3], m[4], m[1], m[2], m[5]});
        });
    layer.compare(
        comparison, steps, VOLT_CALL {
          return net.layer_norm_backward(c, {m[0], m[3], m[4], m[1], m[2], m[5], m[6]});
        });
  }
}

void compare_activations(Comparison& comparison, Random& random, std::uint64_t rows,
                         std::uint64_t n, bool wild) {
  using kernels::Activation;
  for (const Activation kind : {Activation::silu, Activation::gelu_tanh, Activation::era}) {
    for (const bool gated : {true, false}) {
      const kernels::ActivationOf f = {kind, 0.7f, 0.3f};
      Case forward(random, wild, "activate"), backward(random, wild, "activate_backward");
      forward.floats(rows, n, 2);
      backward.floats(rows, n, 3);
      gated ? forward.floats(rows, n) : forward.absent();
      gated ? backward.floats(rows, n, 2) : backward.absent().absent();
      forward.compare(
          comparison, 10 * rows * n, VOLT_CALL {
            return net.activate(c, {f, m[0], m[2], m[1]});
          });
      backward.compare(
          comparison, 10 * rows * n, VOLT_CALL {
            return net.activate_backward(c, {f, m[0], m[3], m[1], m[2], m[4]});
          });
    }
  }
}

Words below(Random& random, std::uint64_t count, std::uint64_t end) {
  Words words(count);
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(random.below(end));
  return words;
}

void compare_cross_entropy(Comparison& comparison, Random& random, std::uint64_t rows,
                           std::uint64_t n, bool wild) {
  Words targets = below(random, rows, n);
  for (std::uint32_t& target : targets) target = random.one_in(5) ? kernels::no_target : target;
  Case(random, wild, "cross_entropy")
      .floats(rows, n)
      .words(targets)
      .floats(rows, 3)
      .compare(
          comparison, 20 * rows * n, VOLT_CALL {
            return net.cross_entropy(c, {m[0], m[1], m[2]});
          });
}

// Tokens of logits between two that are all but equal and two of which one is certain.
void compare_draw(Comparison& comparison, Random& random, std::uint64_t rows, std::uint64_t n,
                  bool wild) {
  static constexpr float temperatures[] = {0.0f, 0.03f, 0.3f, 1.0f};
  const std::uint64_t seed = random(), first = random() >> 1;
  for (const float temperature : temperatures) {
    for (const float top_p : {1.0f, 0.9f, 1e-6f}) {
      Case(random, wild, "draw")
          .floats(rows, n)
          .words(Words(rows))
          .compare(
              comparison, 40 * rows * n, VOLT_CALL {
                return net.draw(c, {m[0], temperature, top_p, seed, first, 34, m[1]});
              });
    }
  }
}

void compare_sums(Comparison& comparison, Random& random, std::uint64_t rows, std::uint64_t n,
                  bool wild) {
  const std::uint64_t steps = rows * n;
  for (const std::uint64_t of : {rows, std::uint64_t{1}}) {
    Case(random, wild, "add")
        .floats(of, n)
        .floats(rows, n)
        .compare(
            comparison, steps, VOLT_CALL {
              return net.add(c, {m[0], m[1]});
            });
  }
  Case(random, wild, "sum_rows")
      .floats(rows, n)
      .floats(1, n)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.sum_rows(c, {m[0], m[1]});
          });
  const std::uint64_t entries = random.one_in(2) ? 7 : 3000;
  Case(random, wild, "scatter_rows")
      .words(below(random, rows, entries))
      .floats(rows, n)
      .floats(entries, n)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.scatter_rows(c, {m[0], m[1], m[2]});
          });
  Case(random, wild, "square_sum")
      .floats(rows, n)
      .compare(
          comparison, steps, VOLT_CALL { return net.square_sum(c, m[0], &told); });
}

void compare_each(Comparison& comparison, Random& random, std::uint64_t rows, std::uint64_t n,
                  bool wild) {
  const std::uint64_t steps = 4 * rows * n;
  Case(random, wild, "scale")
      .floats(rows, n)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.scale(c, {m[0], -3.0f});
          });
  Case(random, wild, "narrow")
      .floats(rows, n)
      .halves(rows, n)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.narrow(c, {m[0], m[1]});
          });
  Case(random, wild, "zero")
      .floats(rows, n)
      .compare(
          comparison, rows * n, VOLT_CALL { return net.zero(c, {m[0]}); });
  const std::uint64_t seed = random(), first = random() >> 1;
  const float p = random.one_in(3) ? 0.0f : 0.3f;
  Case(random, wild, "dropout")
      .floats(rows, n, 2)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.dropout(c, {m[0], m[1], p, seed, first, 9});
          });
  const std::uint64_t ranks = 1 + random.below(200), active = 1 + random.below(ranks);
  Case(random, wild, "keep_largest")
      .floats(rows, ranks)
      .floats(1, ranks)
      .floats(rows, ranks, 2)
      .floats(1, ranks)  // counts, from any bits
      .compare(
          comparison, rows * ranks * ranks, VOLT_CALL {
            return net.keep_largest(c, {m[0], m[1], active, m[2], m[3], m[4]});
          });
  const std::uint64_t end = (n + 127) / 128 * 128;  // of the last group
  const bool back = random.one_in(2);
  Case(random, wild, "rotate")
      .floats(rows, end - random.below(128))
      .floats(rows, end - random.below(128))
      .compare(
          comparison, steps, VOLT_CALL {
            return net.rotate(c, {m[0], m[1], 0x1p-7f, back});
          });
  Case(random, wild, "adam")
      .floats(rows, n, 4)
      .compare(
          comparison, steps, VOLT_CALL {
            return net.adam(
                c, {m[0], m[1], m[2], m[3], 1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.19f, 0.02f, 0.5f});
          });
  const std::uint64_t half = 1 + random.below(70), heads = 1 + n / (2 * half);
  const bool backward = random.one_in(2);
  Case(random, wild, "rope")
      .floats(rows, heads * 2 * half)
      .words(below(random, rows, 1u << 20))
      .turns(half)
      .compare(
          comparison, 20 * steps, VOLT_CALL {
            return net.rope(c, {m[0], m[1], m[2], backward});
          });
}

void compare_frozen(Comparison& comparison, Random& random, std::uint64_t rows, std::uint64_t n,
                    bool wild) {
  const std::uint64_t down = (rows + 127) / 128, across = (n + 127) / 128;
  for (const bool down_first : {false, true}) {
    Case(random, wild, "quantise_rotated")
        .floats(rows, n)
        .bytes(128 * down, 128 * across)
        .floats(128 * down, across)
        .floats(down, 128 * across)
        .compare(
            comparison, 30 * rows * n, VOLT_CALL {
              return net.quantise_rotated(c, {m[0], down_first, m[1], m[2], m[3]});
            });
  }
  const std::uint64_t blocks = (rows * n + 63) / 64, first = random.below(600);
  Case(random, wild, "expand_nf4")
      .floats(rows, n)
      .bytes(1, (rows * n + 1) / 2)
      .bytes(1, blocks)
      .floats(1, (first + blocks + 255) / 256)
      .compare(
          comparison, 4 * rows * n, VOLT_CALL {
            return net.expand_nf4(c, {m[0], m[1], m[2], m[3], 0.07f, first});
          });
}

void compare_large(Comparison& comparison, Random& random) {
  compare_attention(comparison, random, {2048, 2048, 128, 8, 2}, false);
  compare_attention(comparison, random, {5000, 5000, 64, 3, 1}, false);
  compare_attention(comparison, random, {4000, 1, 128, 32, 8}, false);
  compare_norms(comparison, random, 3000, 4096, false);
  compare_activations(comparison, random, 500, 14'336, false);
  compare_cross_entropy(comparison, random, 300, 128'256, false);
  compare_draw(comparison, random, 3, 151'936, true);
  compare_draw(comparison, random, 1, 5'000'000, false);
  compare_sums(comparison, random, 5000, 4096, false);
  compare_each(comparison, random, 3000, 4099, false);
  compare_frozen(comparison, random, 3000, 4096, false);
}

}  // namespace

void compare_network(Comparison& comparison, Extent extent) {
  Random random(6);
  static constexpr std::uint64_t widths[] = {1, 3, 16, 17, 20, 64, 65, 80, 96, 128, 132, 256};
  const bool full = extent == Extent::full;
  for (int i = 0; i < (full ? 300 : 3); ++i) {
    const bool wild = i % 3 == 2;
    const auto kv = static_cast<std::uint32_t>(1 + random.below(3));
    const auto heads = static_cast<std::uint32_t>(kv * (1 + random.below(4)));
    const std::uint64_t keys = 1 + random.below(full ? 400 : 40);
    const std::uint64_t rows = random.one_in(2) ? keys : 1 + random.below(keys);
    compare_attention(comparison, random,
                      {keys, rows, widths[random.below(std::size(widths))], heads, kv}, wild);
    const std::uint64_t m = 1 + random_extent(random, full ? 400 : 40);
    const std::uint64_t n = 1 + random_extent(random, full ? 2000 : 200);
    compare_norms(comparison, random, m, n, wild);
    compare_activations(comparison, random, m, n, wild);
    compare_cross_entropy(comparison, random, m, n, wild);
    compare_draw(comparison, random, m, n, wild);
    compare_sums(comparison, random, m, n, wild);
    compare_each(comparison, random, m, n, wild);
    compare_frozen(comparison, random, m, n, wild);
  }
  if (full) compare_large(comparison, random);
}

}  // namespace volt::gpu
