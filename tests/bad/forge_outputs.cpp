// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "forge.hpp"
#include "libvolt/base/error.hpp"

namespace volt::forge {
namespace {

std::uint32_t word(const Bytes& bytes, std::uint64_t index) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

void set_word(Bytes& bytes, std::uint64_t index, std::uint32_t value) {
  std::memcpy(bytes.data() + 4 * index, &value, 4);
}

/// Drops the last bits of a float's fraction, to nearest and ties to even.
float rounded(float value, unsigned dropped) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t odd = bits >> dropped & 1;
  bits += (1u << (dropped - 1)) - 1 + odd;
  return std::bit_cast<float>(bits >> dropped << dropped);
}

void round_all(Bytes& elements, unsigned dropped) {
  auto values = floats(elements);
  for (auto& value : values) value = rounded(value, dropped);
  elements = bytes_of(values);
}

/// Publishes the product of other operands than the receipt's.
template <class Change>
void product_after(Forger& f, const Change& change) {
  const Bytes a = f.a, b = f.b;
  change();
  Bytes c = f.product();
  f.a = a;
  f.b = b;
  f.set_output(std::move(c));
}

/// The product of operands rounded to a format with a shorter fraction, as tensor cores do.
void round_inputs(Forger& f, unsigned dropped) {
  product_after(f, [&] {
    round_all(f.a, dropped);
    round_all(f.b, dropped);
  });
}

using Values = std::vector<float>;

/// C with each element by `sum` of a row of A and a column of B.
template <class Sum>
void by_own_sum(Forger& f, const Sum& sum) {
  const auto& g = f.geometry;
  const auto a = floats(f.a), b = floats(f.b);
  Values c(g.units()), row(g.k), col(g.k);
  for (std::uint64_t i = 0; i < g.m; ++i) {
    const auto of_a = g.row_of_a(i);
    for (std::uint64_t k = 0; k < g.k; ++k) row[k] = a[of_a.first + k * of_a.step];
    for (std::uint64_t j = 0; j < g.n; ++j) {
      const auto of_b = g.column_of_b(j);
      for (std::uint64_t k = 0; k < g.k; ++k) col[k] = b[of_b.first + k * of_b.step];
      c[i * g.n + j] = sum(row, col);
    }
  }
  f.set_output(bytes_of(c));
}

float descending(const Values& x, const Values& y) {
  float sum = 0;
  for (std::size_t k = x.size(); k-- > 0;) sum = std::fma(x[k], y[k], sum);
  return sum;
}

float pairwise(const Values& x, const Values& y, std::size_t begin, std::size_t end) {
  if (end - begin == 1) return x[begin] * y[begin];
  const std::size_t middle = begin + (end - begin) / 2;
  return pairwise(x, y, begin, middle) + pairwise(x, y, middle, end);
}

/// Two chains over half of k each, added: what split-k kernels do.
float split_k(const Values& x, const Values& y) {
  float sums[2] = {0, 0};
  for (std::size_t k = 0; k < x.size(); ++k) {
    float& sum = sums[k < x.size() / 2 ? 0 : 1];
    sum = std::fma(x[k], y[k], sum);
  }
  return sums[0] + sums[1];
}

float unfused(const Values& x, const Values& y) {
  float sum = 0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const float product = x[k] * y[k];
    sum = sum + product;
  }
  return sum;
}

float in_double(const Values& x, const Values& y) {
  double sum = 0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    sum += static_cast<double>(x[k]) * static_cast<double>(y[k]);
  }
  return static_cast<float>(sum);
}

/// Changes the first element for which `pick` holds; without one nothing would be tested.
template <class Pick, class Change>
void change_first(Forger& f, const Pick& pick, const Change& change) {
  Bytes c = f.c;
  for (std::uint64_t i = 0; i < f.geometry.units(); ++i) {
    if (!pick(word(c, i))) continue;
    set_word(c, i, change(word(c, i)));
    return f.set_output(std::move(c));
  }
  throw Error(Exit::failure, "no element of C is of that kind");
}

bool is_nan(std::uint32_t bits) { return (bits & 0x7fffffff) > 0x7f800000; }

void one_wrong(Forger& f) {
  Bytes c = f.c;
  const std::uint64_t at = f.geometry.units() / 3;
  set_word(c, at, word(c, at) ^ 1);
  f.set_output(std::move(c));
}

/// Errors that cancel in every sum over a row and over a column.
void balanced_errors(Forger& f) {
  Bytes c = f.c;
  const std::uint64_t n = f.geometry.n;
  const std::pair<std::uint64_t, int> errors[] = {{0, 1}, {1, -1}, {n, -1}, {n + 1, 1}};
  for (const auto& [at, step] : errors) {
    set_word(c, at, word(c, at) + static_cast<std::uint32_t>(step));
  }
  f.set_output(std::move(c));
}

/// The first row and the first column, and the matrix of rank 1 through them.
void rank_one(Forger& f) {
  const auto& g = f.geometry;
  auto c = floats(f.c);
  for (std::uint64_t i = 1; i < g.m; ++i) {
    for (std::uint64_t j = 1; j < g.n; ++j) c[i * g.n + j] = c[i * g.n] * c[j] / c[0];
  }
  f.set_output(bytes_of(c));
}

void half_zero(Forger& f) {
  Bytes c = f.c;
  std::fill(c.begin() + static_cast<std::ptrdiff_t>(c.size() / 2), c.end(), std::uint8_t{0});
  f.set_output(std::move(c));
}

/// Two tiles of the first rows change places, from the top to the bottom.
void swapped_tiles(Forger& f) {
  constexpr std::uint64_t tile = 32;
  const std::uint64_t n = f.geometry.n;
  Bytes c = f.c;
  for (std::uint64_t i = 0; i < f.geometry.m; ++i) {
    for (std::uint64_t j = 0; j < tile; ++j) {
      const std::uint64_t here = i * n + j, there = i * n + tile + j;
      const auto kept = word(c, here);
      set_word(c, here, word(c, there));
      set_word(c, there, kept);
    }
  }
  f.set_output(std::move(c));
}

void repeated_row(Forger& f) {
  Bytes c = f.c;
  for (std::uint64_t i = 1; i < f.geometry.m; ++i) {
    std::copy_n(f.c.begin(), 4 * f.geometry.n,
                c.begin() + static_cast<std::ptrdiff_t>(4 * i * f.geometry.n));
  }
  f.set_output(std::move(c));
}

/// Another profile's arithmetic under the job's name.
void other_profile(Forger& f, std::string_view profile) {
  const std::string own = f.geometry.profile;
  f.geometry.profile = profile;
  Bytes c = f.product();
  f.geometry.profile = own;
  f.set_output(std::move(c));
}

/// int8 without -128, as symmetric quantisers have it.
void clamped(Forger& f) {
  product_after(f, [&] {
    for (Bytes* operand : {&f.a, &f.b}) {
      std::replace(operand->begin(), operand->end(), std::uint8_t{0x80}, std::uint8_t{0x81});
    }
  });
}

void of_other_seed(Forger& f) {
  product_after(f, [&] {
    auto seeded = *f.job.matmul.a.seeded();
    ++seeded.seed;
    f.a = workload::generate(seeded, f.geometry.input_dtype(), "a", f.device);
  });
}

/// The receipt's root of `a` is the seed's, but the product is the cheap one of a Hankel matrix.
void of_hankel(Forger& f) {
  product_after(f, [&] { f.a = bytes_of(hankel(f.geometry.m, f.geometry.k)); });
}

const Forgery entries[] = {
    {"one-wrong", one_wrong},
    {"balanced-errors", balanced_errors},
    {"bf16", [](Forger& f) { round_inputs(f, 16); }},
    {"tf32", [](Forger& f) { round_inputs(f, 13); }},
    {"fp16",
     [](Forger& f) {
       // The fraction is tf32's; what differs is that the result is stored so as well.
       round_inputs(f, 13);
       Bytes c = f.c;
       round_all(c, 13);
       f.set_output(std::move(c));
     }},
    {"descending", [](Forger& f) { by_own_sum(f, descending); }},
    {"pairwise",
     [](Forger& f) {
       by_own_sum(f, [](const Values& x, const Values& y) { return pairwise(x, y, 0, x.size()); });
     }},
    {"split-k", [](Forger& f) { by_own_sum(f, split_k); }},
    {"unfused", [](Forger& f) { by_own_sum(f, unfused); }},
    {"in-double", [](Forger& f) { by_own_sum(f, in_double); }},
    {"as-i8x", [](Forger& f) { other_profile(f, "i8x"); }},
    {"as-f32x", [](Forger& f) { other_profile(f, "f32x"); }},
    {"clamped", clamped},
    {"rank-one", rank_one},
    {"half-zero", half_zero},
    {"swapped-tiles", swapped_tiles},
    {"repeated-row", repeated_row},
    {"of-other-seed", of_other_seed},
    {"of-hankel", of_hankel},
    {"nan-payload",
     [](Forger& f) { change_first(f, is_nan, [](std::uint32_t bits) { return bits | 1; }); }},
    {"nan-sign",
     [](Forger& f) {
       change_first(f, is_nan, [](std::uint32_t bits) { return bits | 1u << 31; });
     }},
    {"nan-for-infinity",
     [](Forger& f) {
       change_first(
           f, [](std::uint32_t bits) { return (bits & 0x7fffffff) == 0x7f800000; },
           [](std::uint32_t) { return 0x7fc00000u; });
     }},
    {"minus-zero",
     [](Forger& f) {
       change_first(
           f, [](std::uint32_t bits) { return bits == 0; },
           [](std::uint32_t) { return 0x80000000u; });
     }},
};

}  // namespace

std::span<const Forgery> outputs() { return entries; }

}  // namespace volt::forge
