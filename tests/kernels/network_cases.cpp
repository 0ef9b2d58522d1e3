// SPDX-License-Identifier: Apache-2.0

#include "network_cases.hpp"

#include <algorithm>

namespace volt::kernels::test {
namespace {

using Call = decltype(Operation::call);
#define VOLT_CALL                                                                    \
  [=]([[maybe_unused]] const Network& net, Context* c, const std::vector<Matrix>& m, \
      [[maybe_unused]] float& told)

// Builds one operation, argument by argument.
class Builder {
 public:
  Builder(Random& random, Oddity oddity, std::string name) : random_(random), oddity_(oddity) {
    made_.name = std::move(name);
  }

  Builder& in(const char* name, std::uint64_t rows, std::uint64_t cols) {
    return floats(name, false, rows, cols);
  }
  Builder& out(const char* name, std::uint64_t rows, std::uint64_t cols) {
    return floats(name, true, rows, cols);
  }
  /// A row of counts.
  Builder& counts(const char* name, std::uint64_t cols) {
    add(name, true, Place(random_, 1, cols), 4);
    return *this;
  }
  /// A token a row.
  Builder& tokens(const char* name, std::uint64_t rows) {
    add(name, true, Place(random_, rows, 1), 4);
    return *this;
  }
  Builder& absent(const char* name) {
    made_.arguments.push_back({name, false, {}, {}});
    return *this;
  }
  /// One word a row.
  Builder& words(const char* name, const std::vector<std::uint32_t>& values) {
    Argument& argument = add(name, false, Place(random_, values.size(), 1), 4);
    for (std::size_t i = 0; i < values.size(); ++i) {
      argument.memory[argument.place.offset + i * argument.place.stride] = values[i];
    }
    return *this;
  }
  Builder& turns(const char* name, std::uint64_t count) {
    add(name, false, Place(random_, 1, count), 8);
    return *this;
  }
  Builder& halves(const char* name, std::uint64_t rows, std::uint64_t cols) {
    add(name, true, Place(random_, rows, cols), 2);
    return *this;
  }
  Builder& bytes(const char* name, bool written, std::uint64_t rows, std::uint64_t cols) {
    add(name, written, Place(random_, rows, cols), 1);
    return *this;
  }
  Operation calls(Call call) {
    made_.call = std::move(call);
    return std::move(made_);
  }

 private:
  Argument& add(const char* name, bool written, const Place& place, std::uint64_t width) {
    Argument& argument = made_.arguments.emplace_back(Argument{name, written, place, {}, width});
    argument.memory.resize((place.size * width + 3) / 4);
    for (std::uint32_t& word : argument.memory) word = static_cast<std::uint32_t>(random_());
    return argument;
  }
  Builder& floats(const char* name, bool written, std::uint64_t rows, std::uint64_t cols) {
    Argument& argument = add(name, written, Place(random_, rows, cols), 4);
    for (std::uint32_t& word : argument.memory) {
      word = std::bit_cast<std::uint32_t>(number(random_, oddity_ == Oddity::many));
    }
    if (oddity_ == Oddity::some) {
      const std::uint64_t at = below(random_, argument.memory.size());
      argument.memory[at] = std::bit_cast<std::uint32_t>(odd_number(random_()));
    }
    return *this;
  }

  Random& random_;
  Oddity oddity_;
  Operation made_;
};

std::uint64_t one_of(Random& random, std::initializer_list<std::uint64_t> values) {
  return values.begin()[below(random, values.size())];
}

std::vector<std::uint32_t> random_words(Random& random, std::uint64_t count, std::uint64_t end) {
  std::vector<std::uint32_t> words(count);
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(below(random, end));
  return words;
}

// The first row of each row's sample.
std::vector<std::uint32_t> samples(Random& random, std::uint64_t rows) {
  const std::uint64_t cuts = one_of(random, {1, 1, rows, 5, 20});
  std::vector<std::uint32_t> first(rows, 0);
  for (std::uint64_t i = 1; i < rows; ++i) {
    first[i] = below(random, cuts) == 0 && cuts > 1 ? static_cast<std::uint32_t>(i) : first[i - 1];
  }
  return first;
}

}  // namespace

Memories Operation::run(const Backend& backend, std::uint32_t threads) const {
  Session s(backend, threads);
  std::vector<Matrix> matrices;
  for (const Argument& argument : arguments) {
    matrices.push_back(argument.memory.empty() ? Matrix{}
                                               : argument.place.in(s.put(argument.memory)));
  }
  float told = 0;
  VOLT_OK(call(*backend.network, s.context, matrices, told));
  Memories memories = {{std::bit_cast<std::uint32_t>(told)}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    memories.push_back(s.get<std::uint32_t>(matrices[i].buffer, arguments[i].memory.size()));
  }
  return memories;
}

std::vector<Operation> in_place(Random& random, Oddity oddity) {
  const std::uint64_t rows = 1 + below(random, 9), n = 1 + below(random, 300);
  std::vector<Operation> all;
  for (const Activation kind : {Activation::silu, Activation::gelu_tanh, Activation::era}) {
    for (const bool gated : {true, false}) {
      Builder backward(random, oddity, "activate_backward in place");
      backward.out("x", rows, n).in("dout", rows, n);
      gated ? backward.out("u", rows, n) : backward.absent("u");
      all.push_back(backward.calls(VOLT_CALL {
        return net.activate_backward(c, {{kind, 0.7f, 0.3f}, m[0], m[2], m[1], m[0], m[2]});
      }));
    }
  }
  for (const bool back : {false, true}) {
    all.push_back(Builder(random, oddity, "rotate in place").out("x", rows, n).calls(VOLT_CALL {
      return net.rotate(c, {m[0], m[0], 0x1p-7f, back});
    }));
  }
  return all;
}

std::vector<Operation> attentions(Random& random, std::uint64_t keys, Oddity oddity) {
  const std::uint64_t d = one_of(random, {1, 3, 8, 15, 16, 17, 20, 32, 33, 40, 64, 72});
  const auto kv = static_cast<std::uint32_t>(one_of(random, {1, 1, 2, 3}));
  const auto heads = static_cast<std::uint32_t>(kv * one_of(random, {1, 1, 2, 3, 14}));
  const std::uint64_t rows = one_of(random, {1, keys, keys, 1 + below(random, keys)});
  const std::uint64_t width = heads * d;
  const float scale = below(random, 2) == 0 ? 0.3f : -90.0f;  // as e nearly all, or nearly none
  const std::vector<std::uint32_t> first = samples(random, keys);
  const auto begin = [&](const std::string& name) {
    Builder builder(random, oddity, name);
    builder.in("q", rows, width).in("k", keys, kv * d).in("v", keys, kv * d).words("first", first);
    return builder;
  };
  std::vector<Operation> all;
  for (const Products products : {Products::chains, Products::limbs, Products::rounded}) {
    const auto named = [&](std::string name) {
      if (products == Products::limbs) name += ", limbs";
      if (products == Products::rounded) name += ", rounded";
      return name;
    };
    all.push_back(begin(named("attention"))
                      .out("out", rows, width)
                      .out("m", rows, heads)
                      .out("l", rows, heads)
                      .calls(VOLT_CALL {
                        return net.attention(c, {m[0], m[1], m[2], m[3], heads, kv, scale, m[4],
                                                 m[5], m[6], products});
                      }));
    all.push_back(begin(named("attention_backward"))
                      .in("out", rows, width)
                      .in("m", rows, heads)
                      .in("l", rows, heads)
                      .in("dout", rows, width)
                      .out("dq", rows, width)
                      .out("dk", keys, kv * d)
                      .out("dv", keys, kv * d)
                      .calls(VOLT_CALL {
                        return net.attention_backward(
                            c, {m[0], m[1], m[2], m[3], heads, kv, scale, m[4], m[5], m[6], m[7],
                                m[8], m[9], m[10], products});
                      }));
  }
  return all;
}

namespace {

void add_norms(std::vector<Operation>& all, Random& random, Oddity oddity, std::uint64_t rows,
               std::uint64_t n) {
  const std::uint64_t heads = 1 + rows % 3, wide = heads * n;
  const auto begin = [&](const char* name) { return Builder(random, oddity, name); };
  all.push_back(begin("rms_norm")
                    .in("x", rows, wide)
                    .in("w", 1, n)
                    .out("y", rows, wide)
                    .out("r", rows, heads)
                    .calls(VOLT_CALL {
                      return net.rms_norm(c, {m[0], m[1], 1e-5f, m[2], m[3]});
                    }));
  all.push_back(begin("layer_norm")
                    .in("x", rows, n)
                    .in("w", 1, n)
                    .in("b", 1, n)
                    .out("y", rows, n)
                    .out("kept", rows, 2)
                    .calls(VOLT_CALL {
                      return net.layer_norm(c, {m[0], m[1], m[2], 1e-5f, m[3], m[4]});
                    }));
  for (const bool weights : {true, false}) {
    Builder rms = begin("rms_norm_backward"), layer = begin("layer_norm_backward");
    rms.in("x", rows, wide).in("w", 1, n).in("r", rows, heads).in("dy", rows, wide);
    rms.out("dx", rows, wide);
    layer.in("x", rows, n).in("w", 1, n).in("kept", rows, 2).in("dy", rows, n).out("dx", rows, n);
    weights ? rms.out("dw", 1, n) : rms.absent("dw");
    weights ? layer.out("dw", 1, n).out("db", 1, n) : layer.absent("dw").absent("db");
    all.push_back(rms.calls(VOLT_CALL {
      return net.rms_norm_backward(c, {m[0], m[1], m[2], m[3], m[4], m[5]});
    }));
    all.push_back(layer.calls(VOLT_CALL {
      return net.layer_norm_backward(c, {m[0], m[1], m[2], m[3], m[4], m[5], m[6]});
    }));
  }
}

void add_activations(std::vector<Operation>& all, Random& random, Oddity oddity, std::uint64_t rows,
                     std::uint64_t n) {
  for (const Activation kind : {Activation::silu, Activation::gelu_tanh, Activation::era}) {
    for (const bool gated : {true, false}) {
      const ActivationOf f = {kind, 0.7f, 0.3f};
      Builder forward(random, oddity, "activate"), backward(random, oddity, "activate_backward");
      forward.in("x", rows, n);
      backward.in("x", rows, n);
      gated ? forward.in("u", rows, n) : forward.absent("u");
      gated ? backward.in("u", rows, n) : backward.absent("u");
      backward.in("dout", rows, n).out("dx", rows, n);
      gated ? backward.out("du", rows, n) : backward.absent("du");
      all.push_back(forward.out("out", rows, n).calls(VOLT_CALL {
        return net.activate(c, {f, m[0], m[1], m[2]});
      }));
      all.push_back(backward.calls(VOLT_CALL {
        return net.activate_backward(c, {f, m[0], m[1], m[2], m[3], m[4]});
      }));
    }
  }
}

void add_others(std::vector<Operation>& all, Random& random, Oddity oddity, std::uint64_t rows,
                std::uint64_t n) {
  const auto begin = [&](const char* name) { return Builder(random, oddity, name); };
  std::vector<std::uint32_t> targets = random_words(random, rows, n);
  for (std::uint32_t& target : targets) target = below(random, 5) == 0 ? no_target : target;
  all.push_back(begin("cross_entropy")
                    .out("logits", rows, n)
                    .words("targets", targets)
                    .out("told", rows, 3)
                    .calls(VOLT_CALL {
                      return net.cross_entropy(c, {m[0], m[1], m[2]});
                    }));
  const float temperature = 0.2f * static_cast<float>(below(random, 4));
  const float top_p =
      below(random, 3) == 0 ? 1.0f : 0.1f + 0.4f * static_cast<float>(below(random, 3));
  const std::uint64_t draws = random(), word = random() >> 1;
  all.push_back(begin("draw").in("logits", rows, n).tokens("tokens", rows).calls(VOLT_CALL {
    return net.draw(c, {m[0], temperature, top_p, draws, word, 34, m[1]});
  }));
  for (const std::uint64_t of : {rows, std::uint64_t{1}}) {
    all.push_back(begin("add").out("y", rows, n).in("x", of, n).calls(VOLT_CALL {
      return net.add(c, {m[1], m[0]});
    }));
  }
  all.push_back(begin("sum_rows").in("x", rows, n).out("y", 1, n).calls(VOLT_CALL {
    return net.sum_rows(c, {m[0], m[1]});
  }));
  all.push_back(begin("narrow").in("x", rows, n).halves("y", rows, n).calls(VOLT_CALL {
    return net.narrow(c, {m[0], m[1]});
  }));
  all.push_back(begin("scale").out("x", rows, n).calls(VOLT_CALL {
    return net.scale(c, {m[0], -3.0f});
  }));
  all.push_back(begin("zero").out("x", rows, n).calls(VOLT_CALL { return net.zero(c, {m[0]}); }));
  all.push_back(begin("scatter_rows")
                    .words("ids", random_words(random, rows, 7))
                    .in("dx", rows, n)
                    .out("dtable", 7, n)
                    .calls(VOLT_CALL {
                      return net.scatter_rows(c, {m[0], m[1], m[2]});
                    }));
  const float p = below(random, 2) == 0 ? 0.1f : 0.0f;
  const std::uint64_t seed = random(), at = random() >> 1;
  all.push_back(begin("dropout").in("x", rows, n).out("y", rows, n).calls(VOLT_CALL {
    return net.dropout(c, {m[0], m[1], p, seed, at, 9});
  }));
  const std::uint64_t end = (n + 127) / 128 * 128;  // of the last group
  const std::uint64_t from = end - below(random, 128), to = end - below(random, 128);
  const bool back = below(random, 2) == 0;
  all.push_back(begin("rotate").in("x", rows, from).out("y", rows, to).calls(VOLT_CALL {
    return net.rotate(c, {m[0], m[1], 0x1p-7f, back});
  }));
  const std::uint64_t down = (rows + 127) / 128, across = end / 128;
  const bool down_first = below(random, 2) == 0;
  all.push_back(begin("quantise_rotated")
                    .in("x", rows, n)
                    .bytes("q", true, 128 * down, 128 * across)
                    .out("by_rows", 128 * down, across)
                    .out("by_columns", down, 128 * across)
                    .calls(VOLT_CALL {
                      return net.quantise_rotated(c, {m[0], down_first, m[1], m[2], m[3]});
                    }));
  const std::uint64_t blocks = (rows * n + 63) / 64, before = below(random, 600);
  all.push_back(begin("expand_nf4")
                    .out("y", rows, n)
                    .bytes("nibbles", false, 1, (rows * n + 1) / 2)
                    .bytes("codes", false, 1, blocks)
                    .in("scales", 1, (before + blocks + 255) / 256)
                    .calls(VOLT_CALL {
                      return net.expand_nf4(c, {m[0], m[1], m[2], m[3], 0.07f, before});
                    }));
  all.push_back(begin("adam")
                    .out("p", rows, n)
                    .out("m", rows, n)
                    .out("v", rows, n)
                    .in("g", rows, n)
                    .calls(VOLT_CALL {
                      return net.adam(c, {m[0], m[1], m[2], m[3], 1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f,
                                          0.19f, 0.02f, 0.5f});
                    }));
  all.push_back(begin("square_sum").in("x", rows, n).calls(VOLT_CALL {
    return net.square_sum(c, m[0], &told);
  }));
}

// Its work grows with the square of the columns.
void add_largest(std::vector<Operation>& all, Random& random, Oddity oddity,
                 std::uint64_t elements) {
  const std::uint64_t n = one_of(random, {1, 2, 15, 16, 17, 32, 64, 127, 128, 129, 260});
  const std::uint64_t rows = elements / n + 1, active = 1 + below(random, n);
  for (const bool counted : {true, false}) {
    Builder builder(random, oddity, "keep_largest");
    builder.in("y", rows, n).in("d", 1, n).in("x", rows, n).out("out", rows, n);
    counted ? builder.counts("counts", n) : builder.absent("counts");
    all.push_back(builder.calls(VOLT_CALL {
      return net.keep_largest(c, {m[0], m[1], active, m[2], m[3], m[4]});
    }));
  }
}

}  // namespace

std::vector<Operation> operations(Random& random, Size size, Oddity oddity) {
  std::uint64_t rows = 1 + below(random, 20);
  std::uint64_t n = one_of(random, {1, 2, 15, 16, 17, 64, 127, 128, 129, 1 + below(random, 600)});
  if (size == Size::shared) {
    const std::uint64_t elements = 70'000 + below(random, 9'000);
    rows = one_of(random, {1, 3, 40, 300});
    n = elements / rows;
  }
  std::vector<Operation> all = attentions(random, 1 + below(random, 60), oddity);
  add_norms(all, random, oddity, rows, n);
  add_activations(all, random, oddity, rows, n);
  add_others(all, random, oddity, rows, n);
  add_largest(all, random, oddity, rows * n);
  const std::uint64_t half = 1 + below(random, 70), heads = 1 + n / (2 * half);
  all.push_back(Builder(random, oddity, "rope")
                    .out("x", rows, heads * 2 * half)
                    .words("positions", random_words(random, rows, 1u << 20))
                    .turns("turns", half)
                    .calls(VOLT_CALL {
                      return net.rope(c, {m[0], m[1], m[2], half % 2 == 0});
                    }));
  return all;
}

}  // namespace volt::kernels::test
