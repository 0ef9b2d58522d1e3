// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <bit>
#include <cstring>

#include "parity.hpp"
#include "values.hpp"

namespace volt::gpu {
namespace {

using kernels::Function;
using kernels::Quantised;

void compare_fill(Comparison& comparison, Random& random, int cases) {
  for (int i = 0; i < cases; ++i) {
    const std::uint64_t count = random_extent(random, i % 8 == 0 ? 300'000 : 700);
    const std::uint64_t offset = random.below(9), seed = random();
    const auto stream = static_cast<std::uint32_t>(random());
    std::uint64_t first = random() >> random.below(64);
    if (i % 10 == 0) first = ~count;  // to the last element that there is
    const std::string what = std::to_string(count) + " from " + std::to_string(first);
    const auto around = random_words<std::uint8_t>(random, 4 * (offset + count) + 9);
    comparison.same("fill_f32", what, count, [&](Buffers& b) {
      kernels::Buffer* const to = b.put(around);
      check(b.table().fill_f32(b.context(), to, offset, count, seed, stream, first));
      return b.get(to, around.size());
    });
    comparison.same("fill_i8", what, count, [&](Buffers& b) {
      kernels::Buffer* const to = b.put(around);
      check(b.table().fill_i8(b.context(), to, offset, count, seed, stream, first));
      return b.get(to, around.size());
    });
  }
}

void compare_quantise(Comparison& comparison, Random& random, std::uint64_t rows,
                      std::uint64_t cols, Quantised::Axis axis) {
  const bool along_cols = axis == Quantised::along_cols;
  const auto groups = [](std::uint64_t n) { return (n + kernels::group - 1) / kernels::group; };
  const Place x = random_place(random, rows, cols), q = random_place(random, rows, cols);
  const Place scales = along_cols ? random_place(random, rows, groups(cols))
                                  : random_place(random, groups(rows), cols);
  const auto values = random_groups(random, x.in(nullptr), x.size, axis);
  const auto around_q = random_words<std::uint8_t>(random, q.size);
  const auto around_scales = random_words<std::uint32_t>(random, scales.size);
  const std::string what = std::to_string(rows) + "x" + std::to_string(cols) +
                           (along_cols ? " along columns" : " along rows");
  comparison.same("quantise", what, rows * cols, [&](Buffers& b) {
    kernels::Buffer* const to_q = b.put(around_q);
    kernels::Buffer* const to_scales = b.put(around_scales);
    check(b.table().quantise(b.context(), x.in(b.put(values)),
                             {q.in(to_q), scales.in(to_scales), axis}));
    Bytes all = b.get(to_q, q.size);
    const Bytes more = b.get(to_scales, 4 * scales.size);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  });
  comparison.same("quantise_limbs", what, rows * cols, [&](Buffers& b) {
    kernels::Buffer *const high = b.put(around_q), *const low = b.put(around_q);
    kernels::Buffer* const to_scales = b.put(around_scales);
    check(b.table().quantise_limbs(b.context(), x.in(b.put(values)),
                                   {q.in(high), q.in(low), scales.in(to_scales), axis}));
    Bytes all = b.get(high, q.size);
    for (const Bytes& more : {b.get(low, q.size), b.get(to_scales, 4 * scales.size)}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  });
}

struct Named {
  Function function;
  const char* name;
  std::uint64_t in, out;  // bytes of an element
};

constexpr Named functions[] = {
    {Function::exp, "exp", 4, 4},
    {Function::exp2, "exp2", 4, 4},
    {Function::log, "log", 4, 4},
    {Function::log1p, "log1p", 4, 4},
    {Function::tanh, "tanh", 4, 4},
    {Function::sigmoid, "sigmoid", 4, 4},
    {Function::erf, "erf", 4, 4},
    {Function::rsqrt, "rsqrt", 4, 4},
    {Function::to_bf16, "to_bf16", 4, 2},
    {Function::to_fp16, "to_fp16", 4, 2},
    {Function::sin_turns, "sin_turns", 8, 4},
    {Function::cos_turns, "cos_turns", 8, 4},
    {Function::from_bf16, "from_bf16", 2, 4},
    {Function::from_fp16, "from_fp16", 2, 4},
};

std::string row_of(const Named& f) { return std::string("map ") + f.name; }

// `inputs` are elements of f.in bytes.
void compare_map(Comparison& comparison, Random& random, const Named& f, const std::string& what,
                 const Bytes& inputs) {
  const std::uint64_t count = inputs.size() / f.in;
  const std::uint64_t x_offset = random.below(4), y_offset = random.below(4);
  const auto around = random_words<std::uint8_t>(random, (y_offset + count) * f.out + 5);
  Bytes x(x_offset * f.in);
  x.insert(x.end(), inputs.begin(), inputs.end());
  comparison.same(row_of(f), what, count, [&](Buffers& b) {
    kernels::Buffer* const to = b.put(around);
    check(b.table().map(b.context(), f.function, b.put(x), x_offset, to, y_offset, count));
    return b.get(to, around.size());
  });
}

template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Every exponent and sign, with mantissas at and beside the ends and the middle.
Bytes edges_of_floats() {
  std::vector<std::uint32_t> bits;
  for (std::uint32_t high = 0; high < 512; ++high) {
    for (const std::uint32_t mantissa :
         {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0x3fffffu, 0x400000u, 0x400001u, 0x7fffffu}) {
      bits.push_back(high << 23 | mantissa);
    }
  }
  return bytes_of(bits);
}

// Around every 64th of a turn, in the direction of both neighbours.
Bytes edges_of_turns() {
  std::vector<std::uint64_t> turns;
  for (std::uint64_t i = 0; i < 64; ++i) {
    for (std::int64_t beside = -2; beside <= 2; ++beside) {
      turns.push_back((i << 58) + static_cast<std::uint64_t>(beside));
    }
  }
  return bytes_of(turns);
}

Bytes all_words() {
  std::vector<std::uint16_t> words(65536);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
  return bytes_of(words);
}

void compare_functions(Comparison& comparison, Random& random, std::uint64_t count) {
  for (const Named& f : functions) {
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t few = i == 0 ? 0 : random.below(300);
      compare_map(comparison, random, f, std::to_string(few),
                  random_words<std::uint8_t>(random, few * f.in));
    }
    if (f.in == 2) compare_map(comparison, random, f, "all words", all_words());
    if (f.in == 4) compare_map(comparison, random, f, "edges", edges_of_floats());
    if (f.in == 8) compare_map(comparison, random, f, "edges", edges_of_turns());
    compare_map(comparison, random, f, "any bits",
                random_words<std::uint8_t>(random, (count + random.below(9)) * f.in));
  }
}

constexpr std::uint64_t chunk = 1 << 24;  // floats

Bytes digests_of_map(Device& device, const Named& f, kernels::Buffer* x, kernels::Buffer* y) {
  const std::uint64_t bytes = chunk * f.out;
  Bytes digests(bytes / kernels::page_bytes * 32);
  check(device.table.map(device.context, f.function, x, 0, y, 0, chunk));
  check(device.table.page_digests(device.context, y, 0, bytes, digests.data()));
  return digests;
}

// All 2^32 through each function of floats. Digests are compared, since they are made where the
// results are: 180 GB never cross the bus.
void compare_all_floats(Comparison& comparison) {
  std::vector<std::uint32_t> bits(chunk);
  for (std::uint64_t first = 0; first < std::uint64_t{1} << 32; first += chunk) {
    for (std::uint64_t i = 0; i < chunk; ++i) bits[i] = static_cast<std::uint32_t>(first + i);
    Buffers tested(comparison.tested()), cpu(comparison.cpu());
    kernels::Buffer* const tested_x = tested.put(bits);
    kernels::Buffer* const tested_y = tested.room(4 * chunk);
    kernels::Buffer* const cpu_x = cpu.put(bits);
    kernels::Buffer* const cpu_y = cpu.room(4 * chunk);
    for (const Named& f : functions) {
      if (f.in != 4) continue;
      comparison.count(row_of(f), "2^24 floats from bits " + std::to_string(first),
                       digests_of_map(comparison.tested(), f, tested_x, tested_y) ==
                           digests_of_map(comparison.cpu(), f, cpu_x, cpu_y));
    }
  }
}

}  // namespace

void compare_elements(Comparison& comparison, Extent extent) {
  Random random(2);
  const bool full = extent == Extent::full;
  compare_fill(comparison, random, full ? 200 : 20);
  for (int i = 0; i < (full ? 200 : 20); ++i) {
    const std::uint64_t rows = random_extent(random, 600), cols = random_extent(random, 600);
    compare_quantise(comparison, random, rows, cols,
                     i % 2 == 0 ? Quantised::along_cols : Quantised::along_rows);
  }
  compare_functions(comparison, random, full ? 10'000'000 : 20'000);
  if (!full) return;
  compare_quantise(comparison, random, 5000, 7001, Quantised::along_cols);
  compare_quantise(comparison, random, 5000, 7001, Quantised::along_rows);
  compare_all_floats(comparison);
}

void compare_digests(Comparison& comparison, Extent extent) {
  Random random(3);
  std::vector<std::uint64_t> sizes = {0,    1,    54,   55,   56,   63,     64,
                                      65,   118,  119,  4031, 4032, 4094,   4095,
                                      4096, 4097, 8191, 8192, 8193, 131'072};
  for (int i = 0; i < 30; ++i) sizes.push_back(random.below(300'000));
  if (extent == Extent::full) sizes.insert(sizes.end(), {100'000'013, 300'000'007});
  for (const std::uint64_t bytes : sizes) {
    const std::uint64_t offset = random.one_in(2) ? 4096 * random.below(3) : random.below(99);
    const auto data = random_words<std::uint8_t>(random, offset + bytes);
    const std::string what = std::to_string(bytes) + " bytes at " + std::to_string(offset);
    comparison.same("page_digests", what, bytes, [&](Buffers& b) {
      const std::uint64_t pages = (bytes + kernels::page_bytes - 1) / kernels::page_bytes;
      Bytes digests(32 * pages + 1, 0x5a);
      check(b.table().page_digests(b.context(), b.put(data), offset, bytes, digests.data()));
      return digests;
    });
  }
}

}  // namespace volt::gpu
