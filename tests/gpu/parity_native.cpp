// SPDX-License-Identifier: Apache-2.0

// What a GPU leaves to NVIDIA's libraries, which add in an order of their own: products of bf16,
// whose sums are fp32, and attention, whose results are bf16.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "kernels/exact.hpp"
#include "kernels/network.hpp"
#include "parity.hpp"
#include "values.hpp"

namespace volt::gpu {
namespace {

using kernels::Buffer;
using kernels::Form;
using kernels::Matrix;
using kernels::Products;

// Of sums of 20,000 products, each of which tensor cores may cut off after 2^-23; and of results in
// bf16, off by 2^-9, from operands that were such results themselves.
constexpr double most_of_products = 1e-3, most_of_attention = 1e-2;

// The matrix without what lies around it.
void append(Buffers& b, const Place& place, const Buffer* buffer, Bytes& all) {
  const Bytes memory = b.get(buffer, 4 * place.size);
  for (std::uint64_t row = 0; row < place.rows; ++row) {
    const auto first =
        memory.begin() + static_cast<std::ptrdiff_t>(4 * (place.offset + row * place.stride));
    all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(4 * place.cols));
  }
}

std::vector<std::uint16_t> halves(Random& random, std::uint64_t count) {
  std::vector<std::uint16_t> values;
  for (const float value : random_floats(random, count, false)) {
    values.push_back(kernels::to_bf16(value));
  }
  return values;
}

void compare_product(Comparison& comparison, Random& random, Form form, std::uint64_t m,
                     std::uint64_t n, std::uint64_t k) {
  static const char* const forms[] = {"ab ", "abt ", "atb "};
  const Place a = form == Form::atb ? random_place(random, k, m) : random_place(random, m, k);
  const Place b = form == Form::abt ? random_place(random, n, k) : random_place(random, k, n);
  const Place c = random_place(random, m, n);
  const auto of_a = halves(random, a.size), of_b = halves(random, b.size);
  const auto of_c = random_floats(random, c.size, false);
  comparison.near("matmul_bf16",
                  forms[static_cast<int>(form)] + std::to_string(m) + "x" + std::to_string(n) +
                      "x" + std::to_string(k),
                  most_of_products, [&](Buffers& on) {
                    Buffer* const to = on.put(of_c);
                    check(on.table().matmul_bf16(on.context(), form, a.in(on.put(of_a)),
                                                 b.in(on.put(of_b)), c.in(to)));
                    Bytes all;
                    append(on, c, to, all);
                    return all;
                  });
}

struct Heads {
  std::uint32_t heads, kv_heads;
  std::uint64_t d;
};

class Attention {
 public:
  Attention(Random& random, const std::vector<std::uint32_t>& first, const Heads& s)
      : s_(s), first_(first) {
    const std::uint64_t rows = first.size(), wide = s.heads * s.d, narrow = s.kv_heads * s.d;
    for (const std::uint64_t cols : {wide, narrow, narrow, wide}) {  // q, k, v, dout
      given_.push_back(random_place(random, rows, cols));
      values_.push_back(random_floats(random, given_.back().size, false));
    }
    for (const std::uint64_t cols : {wide, wide, narrow, narrow}) {  // out, dq, dk, dv
      made_.push_back(random_place(random, rows, cols));
    }
  }

  void compare(Comparison& comparison) const {
    const std::string what = std::to_string(first_.size()) + " rows, " + std::to_string(s_.heads) +
                             "/" + std::to_string(s_.kv_heads) + " heads of " +
                             std::to_string(s_.d);
    comparison.near("attention rounded", what, most_of_attention,
                    [this](Buffers& on) { return run(on, {0}, true); });
    for (const std::size_t gradient : {1, 2, 3}) {
      comparison.near("attention_backward rounded", what, most_of_attention,
                      [&](Buffers& on) { return run(on, {gradient}, false); });
    }
  }

 private:
  // What is asked for of out, dq, dk and dv, and the logarithm of the sum of all e.
  Bytes run(Buffers& on, const std::vector<std::size_t>& asked, bool sums) const {
    const std::uint64_t rows = first_.size();
    std::vector<Matrix> given, made;
    for (std::size_t i = 0; i < given_.size(); ++i) {
      given.push_back(given_[i].in(on.put(values_[i])));
    }
    for (const Place& place : made_) made.push_back(place.in(on.room(4 * place.size)));
    const Matrix first = {on.put(first_), 0, rows, 1, 1};
    const Matrix m = {on.room(4 * rows * s_.heads), 0, rows, s_.heads, s_.heads};
    const Matrix l = {on.room(4 * rows * s_.heads), 0, rows, s_.heads, s_.heads};
    const float scale = 1.0f / std::sqrt(static_cast<float>(s_.d));
    const auto& net = *on.table().network;
    check(net.attention(on.context(), {given[0], given[1], given[2], first, s_.heads, s_.kv_heads,
                                       scale, made[0], m, l, Products::rounded}));
    check(net.attention_backward(
        on.context(), {given[0], given[1], given[2], first, s_.heads, s_.kv_heads, scale, made[0],
                       m, l, given[3], made[1], made[2], made[3], Products::rounded}));
    Bytes all;
    for (const std::size_t i : asked) append(on, made_[i], made[i].buffer, all);
    if (sums) append_sums(on, m, l, all);
    return all;
  }

  static void append_sums(Buffers& on, const Matrix& m, const Matrix& l, Bytes& all) {
    const std::uint64_t bytes = 4 * m.rows * m.cols;
    const Bytes of_m = on.get(m.buffer, bytes), of_l = on.get(l.buffer, bytes);
    for (std::uint64_t i = 0; i < bytes; i += 4) {
      float greatest = 0, sum = 0;
      std::memcpy(&greatest, &of_m[i], 4);
      std::memcpy(&sum, &of_l[i], 4);
      sum = greatest + std::log(sum);
      const auto* const from = reinterpret_cast<const std::uint8_t*>(&sum);
      all.insert(all.end(), from, from + 4);
    }
  }

  const Heads s_;
  const std::vector<std::uint32_t> first_;
  std::vector<Place> given_, made_;
  std::vector<std::vector<float>> values_;
};

std::vector<std::uint32_t> samples(Random& random, std::uint64_t rows, std::uint64_t longest) {
  std::vector<std::uint32_t> first;
  while (first.size() < rows) {
    const std::uint64_t length = std::min(1 + random.below(longest), rows - first.size());
    first.insert(first.end(), length, static_cast<std::uint32_t>(first.size()));
  }
  return first;
}

// A machine may have a GPU and none of its libraries.
bool has_products(Device& device) {
  Buffers b(device);
  const Matrix one = {b.room(4), 0, 1, 1, 1}, two = {b.room(4), 0, 1, 1, 1};
  const kernels::Status status =
      device.table.matmul_bf16(device.context, Form::ab, one, two, {b.room(4), 0, 1, 1, 1});
  if (status.code == kernels::Status::ok) return true;
  std::fprintf(stderr, "left out: matmul_bf16: %s\n", status.text);
  return false;
}

void compare_products_near(Comparison& comparison, Random& random, Extent extent) {
  const int shapes = extent == Extent::full ? 300 : 8;
  for (int i = 0; i < shapes; ++i) {
    const bool deep = random.one_in(5);
    const std::uint64_t m = random_extent(random, deep ? 20 : 300),
                        n = random_extent(random, deep ? 20 : 300),
                        k = deep ? random.below(20'000) : random_extent(random, 1100);
    compare_product(comparison, random, static_cast<Form>(i % 3), m, n, k);
  }
  if (extent == Extent::quick) return;
  for (const Form form : {Form::ab, Form::abt, Form::atb}) {
    compare_product(comparison, random, form, 2048, 4096, 4096);
  }
}

}  // namespace

void compare_native(Comparison& comparison, Extent extent) {
  Random random(20251121);
  if (has_products(comparison.tested())) compare_products_near(comparison, random, extent);
  // Each width and length is compiled for a second or two.
  const bool full = extent == Extent::full;
  for (const Heads& heads : {Heads{8, 2, 64}, Heads{4, 4, 128}, Heads{3, 1, 20}, Heads{2, 2, 96}}) {
    const std::uint64_t rows = full ? 1500 : 70;
    for (const std::uint64_t longest : {rows, std::uint64_t{100}, std::uint64_t{5}}) {
      Attention(random, samples(random, rows, longest), heads).compare(comparison);
      if (!full) return;
    }
  }
}

}  // namespace volt::gpu
