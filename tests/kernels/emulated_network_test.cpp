// SPDX-License-Identifier: Apache-2.0

// The CUDA operations of language models without a GPU: block by block in the emulator, bit for bit
// against the reference, on shapes that are less than, as much as and more than a block takes.

#include <algorithm>

#include "network_cases.hpp"

namespace volt::kernels::test {
namespace {

void check(const Operation& operation) {
  CAPTURE(operation.name);
  CAPTURE(operation.arguments[0].place.rows);
  CAPTURE(operation.arguments[0].place.cols);
  const Memories expected = operation.run(cpu_reference(), 1);
  for (const Backend& backend : fast_backends()) {
    CAPTURE(std::string(backend.name));
    const Memories got = operation.run(backend, 1);
    CHECK(got[0] == expected[0]);
    for (std::size_t i = 0; i < operation.arguments.size(); ++i) {
      CAPTURE(std::string(operation.arguments[i].name));
      CHECK(got[i + 1] == expected[i + 1]);
    }
  }
}

void check(const std::vector<Operation>& operations) {
  for (const Operation& operation : operations) check(operation);
}

constexpr Oddity oddities[] = {Oddity::none, Oddity::some, Oddity::many};

// Without gaps, where kernels take elements in fours and matrices as one row, or anywhere. Outside
// of its rows the memory holds NaNs.
Argument floats(Random& random, const char* name, std::uint64_t rows, std::uint64_t cols,
                bool dense) {
  Argument argument = {name, true, {}, {}};
  Place& place = argument.place;
  if (dense) {
    place.rows = rows, place.cols = place.stride = cols, place.size = rows * cols;
  } else {
    place = Place(random, rows, cols);
  }
  argument.memory.assign(place.size, 0x7fedcba9);
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) {
      argument.memory[place.offset + r * place.stride + c] =
          std::bit_cast<std::uint32_t>(4 * number(random, false));
    }
  }
  return argument;
}

Argument words(Random& random, const char* name, const std::vector<std::uint32_t>& values) {
  Argument argument = floats(random, name, values.size(), 1, true);
  argument.memory = values;
  return argument;
}

struct Shape {
  std::uint64_t keys, queries, d;
  std::uint32_t heads, kv_heads;
  std::vector<std::uint32_t> lengths;  // of samples, of which the last goes on
};

// Forward, and backward from what that gives.
// `size` is that of q and k.
Operation attention(Random& random, const Shape& s, bool dense, float size = 1) {
  std::vector<std::uint32_t> first;
  for (const std::uint32_t length : s.lengths) {
    first.resize(first.size() + length, static_cast<std::uint32_t>(first.size()));
  }
  first.resize(s.keys, static_cast<std::uint32_t>(first.size()));
  Operation both = {"attention there and back", {}, {}};
  const auto add = [&](const char* name, std::uint64_t rows, std::uint64_t cols) {
    both.arguments.push_back(floats(random, name, rows, cols, dense));
  };
  const std::uint64_t wide = s.heads * s.d, narrow = s.kv_heads * s.d;
  add("q", s.queries, wide), add("k", s.keys, narrow), add("v", s.keys, narrow);
  for (Argument& argument : both.arguments) {
    if (argument.name[0] == 'v') continue;
    for (std::uint32_t& word : argument.memory) {
      word = std::bit_cast<std::uint32_t>(std::bit_cast<float>(word) * size);
    }
  }
  both.arguments.push_back(words(random, "first", first));
  add("out", s.queries, wide), add("m", s.queries, s.heads), add("l", s.queries, s.heads);
  add("dout", s.queries, wide), add("dq", s.queries, wide);
  add("dk", s.keys, narrow), add("dv", s.keys, narrow);
  both.call = [heads = s.heads, kv = s.kv_heads](const Network& network, Context* c,
                                                 const std::vector<Matrix>& m, float&) {
    const Status status =
        network.attention(c, {m[0], m[1], m[2], m[3], heads, kv, 0.2f, m[4], m[5], m[6]});
    if (status.code != Status::ok) return status;
    return network.attention_backward(
        c, {m[0], m[1], m[2], m[3], heads, kv, 0.2f, m[4], m[5], m[6], m[7], m[8], m[9], m[10]});
  };
  return both;
}

}  // namespace

TEST_CASE("every CUDA operation has the reference's bits") {
  Random random(1);
  for (int round = 0; round < 15; ++round) {
    check(operations(random, Size::small, oddities[round % 3]));
  }
}

TEST_CASE("so it has where it writes where it reads") {
  Random random(7);
  for (const Oddity oddity : oddities) check(in_place(random, oddity));
}

TEST_CASE("so it has of long rows, and of many") {
  Random random(2);
  for (int round = 0; round < 4; ++round) {
    check(operations(random, Size::shared, oddities[round % 3]));
  }
}

TEST_CASE("so it has of attention over several tiles") {
  Random random(3);
  for (const Oddity oddity : oddities) check(attentions(random, 130 + below(random, 99), oddity));
  const Shape shapes[] = {
      {128, 128, 64, 1, 1, {}},           // whole tiles
      {129, 129, 65, 2, 1, {1, 64, 63}},  // one more, and samples that end with tiles
      {270, 270, 20, 2, 2, {40, 200}},    // a sample across tiles
      {140, 140, 132, 1, 1, {7, 9}},      // columns of two blocks
      {140, 140, 131, 1, 1, {7, 9}},
      {260, 1, 256, 2, 1, {100}},       // decoding
      {260, 33, 80, 3, 1, {100, 130}},  // its first queries, of two samples
      {200, 200, 4, 3, 1, std::vector<std::uint32_t>(150, 1)},
  };
  for (const Shape& shape : shapes) {
    CAPTURE(shape.keys);
    CAPTURE(shape.d);
    check(attention(random, shape, shape.d % 4 == 0));
  }
  // Products that underflow: scores of either zero.
  check(attention(random, {70, 70, 1, 1, 1, {10}}, true, 0x1p-100f));
}

TEST_CASE("elements without gaps are one row, in fours or not") {
  Random random(4);
  for (const std::uint64_t n : {1, 15, 128, 1000, 1024, 1025, 3000}) {
    CAPTURE(n);
    Operation all = {"adam, activate, rotate, dropout", {}, {}};
    for (const char* name : {"p", "m", "v", "g", "x", "u", "y", "z"}) {
      all.arguments.push_back(floats(random, name, 3, n, true));
    }
    all.call = [n](const Network& network, Context* c, const std::vector<Matrix>& m, float& told) {
      const auto run = [&](Status status) { VOLT_OK(status); };
      run(network.adam(
          c, {m[0], m[1], m[2], m[3], 1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.19f, 0.02f, 0.5f}));
      run(network.activate(c, {{Activation::silu, 1, 0}, m[4], m[5], m[6]}));
      run(network.dropout(c, {m[6], m[7], 0.3f, 5, n, 6}));
      run(network.rotate(c, {m[7], m[4], 0.5f}));
      return network.square_sum(c, m[4], &told);
    };
    check(all);
  }
}

// A block finds its row's equals 256 ids at a time, and 1,024 columns have a block.
TEST_CASE("rows that ids name often, seldom and far apart are added in order") {
  Random random(5);
  for (const std::uint32_t entries : {1u, 3u, 400u, 5000u}) {
    for (const std::uint64_t cols : {1, 1024, 1030}) {
      const std::uint64_t rows = cols == 1 ? 1000 : 300;
      std::vector<std::uint32_t> ids(rows);
      for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(below(random, entries));
      Operation scatter = {
          "scatter_rows",
          {words(random, "ids", ids), floats(random, "dx", rows, cols, false),
           floats(random, "dtable", entries, cols, false)},
          [](const Network& network, Context* c, const std::vector<Matrix>& m, float&) {
            return network.scatter_rows(c, {m[0], m[1], m[2]});
          }};
      check(scatter);
    }
  }
}

// The lanes of the whole matrix go on from row to row; tiles of 256 elements each.
TEST_CASE("squares are summed over rows with gaps and without") {
  Random random(6);
  for (const std::uint64_t rows : {1, 3, 257}) {
    for (const std::uint64_t cols : {1, 127, 128, 129, 300}) {
      for (const bool dense : {true, false}) {
        check(Operation{"square_sum",
                        {floats(random, "x", rows, cols, dense)},
                        [](const Network& network, Context* c, const std::vector<Matrix>& m,
                           float& told) { return network.square_sum(c, m[0], &told); }});
      }
    }
  }
}

}  // namespace volt::kernels::test
