// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "parity.hpp"
#include "values.hpp"

namespace volt::gpu {
namespace {

using kernels::Form;
using kernels::Quantised;

struct Shape {
  Form form;
  std::uint64_t m, n, k;
  bool wild;
};

bool diagonal(Form form) { return form >= Form::ab_diagonal; }
bool k_is_rows_of_a(Form form) { return form == Form::atb || form == Form::atb_diagonal; }
bool k_is_rows_of_b(Form form) { return form != Form::abt && form != Form::abt_diagonal; }

std::string text_of(const Shape& s) {
  static const char* const forms[] = {"ab",          "abt",          "atb",         "limbs",
                                      "ab diagonal", "abt diagonal", "atb diagonal"};
  return std::string(forms[static_cast<int>(s.form)]) + " " + std::to_string(s.m) + "x" +
         std::to_string(s.n) + "x" + std::to_string(s.k) + (s.wild ? " with NaNs" : "");
}

Place place_of_a(Random& random, const Shape& s, std::uint64_t k) {
  return k_is_rows_of_a(s.form) ? random_place(random, k, s.m) : random_place(random, s.m, k);
}

Place place_of_b(Random& random, const Shape& s, std::uint64_t k) {
  return k_is_rows_of_b(s.form) ? random_place(random, k, s.n) : random_place(random, s.n, k);
}

// One shape with places and operands for all products.
class Case {
 public:
  Case(Random& random, const Shape& s)
      : shape_(s),
        a_(place_of_a(random, s, s.k)),
        b_(place_of_b(random, s, s.k)),
        c_(random_place(random, s.m, diagonal(s.form) ? 1 : s.n)),
        scales_a_(place_of_a(random, s, groups())),
        scales_b_(place_of_b(random, s, groups())),
        float_a_(random_floats(random, a_.size, s.wild)),
        float_b_(random_floats(random, b_.size, s.wild)),
        float_c_(random_floats(random, c_.size, s.wild)),
        values_scales_a_(random_floats(random, scales_a_.size, s.wild)),
        values_scales_b_(random_floats(random, scales_b_.size, s.wild)),
        int_a_(random_words<std::int8_t>(random, a_.size)),
        int_b_(random_words<std::int8_t>(random, b_.size)),
        low_a_(random_words<std::int8_t>(random, a_.size)),
        low_b_(random_words<std::int8_t>(random, b_.size)),
        int_c_(random_words<std::int32_t>(random, c_.size)) {}

  /// Every element -128: the largest sums, and an operand that does not fit seven bits.
  void saturate() {
    for (auto* elements : {&int_a_, &int_b_, &low_a_, &low_b_}) {
      std::fill(elements->begin(), elements->end(), std::int8_t{-128});
    }
  }

  void compare(Comparison& comparison, int repeats = 1) const {
    const std::string what = text_of(shape_);
    const std::uint64_t steps = shape_.m * shape_.k * (diagonal(shape_.form) ? 1 : shape_.n);
    comparison.same(
        "matmul_f32x", what, steps, [this](Buffers& b) { return f32x(b); }, repeats);
    comparison.same(
        "matmul_i8x", what, steps, [this](Buffers& b) { return i8x(b); }, repeats);
    if (!diagonal(shape_.form)) {
      comparison.same(
          "matmul_i8x2", what, steps, [this](Buffers& b) { return i8x2(b); }, repeats);
    }
    if (shape_.k <= kernels::max_k_i8) {
      comparison.same(
          "matmul_i8", what, steps, [this](Buffers& b) { return i8(b); }, repeats);
    }
  }

 private:
  std::uint64_t groups() const { return (shape_.k + kernels::group - 1) / kernels::group; }

  Bytes f32x(Buffers& b) const {
    kernels::Buffer* const c = b.put(float_c_);
    check(b.table().matmul_f32x(b.context(), shape_.form, a_.in(b.put(float_a_)),
                                b_.in(b.put(float_b_)), c_.in(c)));
    return b.get(c, 4 * c_.size);
  }

  Bytes i8(Buffers& b) const {
    kernels::Buffer* const c = b.put(int_c_);
    check(b.table().matmul_i8(b.context(), shape_.form, a_.in(b.put(int_a_)), b_.in(b.put(int_b_)),
                              c_.in(c)));
    return b.get(c, 4 * c_.size);
  }

  Bytes i8x(Buffers& b) const {
    kernels::Buffer* const c = b.put(float_c_);
    const Quantised x = {a_.in(b.put(int_a_)), scales_a_.in(b.put(values_scales_a_)),
                         axis(k_is_rows_of_a(shape_.form))};
    const Quantised y = {b_.in(b.put(int_b_)), scales_b_.in(b.put(values_scales_b_)),
                         axis(k_is_rows_of_b(shape_.form))};
    check(b.table().matmul_i8x(b.context(), shape_.form, x, y, c_.in(c)));
    return b.get(c, 4 * c_.size);
  }

  Bytes i8x2(Buffers& b) const {
    kernels::Buffer* const c = b.put(float_c_);
    const kernels::QuantisedLimbs x = {a_.in(b.put(int_a_)), a_.in(b.put(low_a_)),
                                       scales_a_.in(b.put(values_scales_a_)),
                                       axis(k_is_rows_of_a(shape_.form))};
    const kernels::QuantisedLimbs y = {b_.in(b.put(int_b_)), b_.in(b.put(low_b_)),
                                       scales_b_.in(b.put(values_scales_b_)),
                                       axis(k_is_rows_of_b(shape_.form))};
    check(b.table().matmul_i8x2(b.context(), shape_.form, x, y, c_.in(c)));
    return b.get(c, 4 * c_.size);
  }

  static Quantised::Axis axis(bool k_is_rows) {
    return k_is_rows ? Quantised::along_rows : Quantised::along_cols;
  }

  Shape shape_;
  Place a_, b_, c_, scales_a_, scales_b_;
  std::vector<float> float_a_, float_b_, float_c_, values_scales_a_, values_scales_b_;
  std::vector<std::int8_t> int_a_, int_b_, low_a_, low_b_;  // the last two are low limbs
  std::vector<std::int32_t> int_c_;
};

// Tiny, some blocks in each direction, thin either way, or deep.
Shape random_shape(Random& random) {
  Shape s{};
  s.form = static_cast<Form>(random.one_in(4) ? 3 + random.below(3) : random.below(3));
  s.wild = random.one_in(5);
  const std::uint64_t kind = random.below(5);
  if (kind == 0) {
    s.m = random_extent(random, 40), s.n = random_extent(random, 40);
    s.k = random_extent(random, 400);
  } else if (kind <= 2) {
    s.m = random_extent(random, 300), s.n = random_extent(random, 300);
    s.k = random_extent(random, 1100);
  } else if (kind == 3) {
    s.m = random.below(5), s.n = random_extent(random, 3000);
    s.k = random_extent(random, 1500);
    if (random.one_in(2)) std::swap(s.m, s.n);
  } else {
    s.m = random_extent(random, 20), s.n = random_extent(random, 20);
    s.k = random.below(20'000);
  }
  if (diagonal(s.form)) s.n = s.m;
  return s;
}

// Enough blocks to fill any GPU, where a race would show.
constexpr Shape large_shapes[] = {
    {Form::ab, 4096, 4096, 4096, false},
    {Form::abt, 4096, 4096, 4096, false},
    {Form::atb, 4096, 4096, 4096, false},
    {Form::abt, 1, 8192, 8192, false},
    {Form::ab, 8192, 1, 8192, false},
    {Form::abt, 3000, 5001, 1000, true},
    {Form::atb, 129, 20'000, 777, false},
    {Form::ab, 20'000, 65, 1031, true},
    {Form::abt, 515, 515, 50'000, false},
    {Form::atb, 2048, 2048, 16'385, false},
    {Form::ab_diagonal, 4096, 4096, 4096, false},
    {Form::abt_diagonal, 9000, 9000, 3001, true},
    {Form::atb_diagonal, 9000, 9000, 3001, false},
};
constexpr int large_repeats = 3;

void compare_weigh(Comparison& comparison, Random& random, std::uint64_t rows, std::uint64_t cols) {
  const Place x = random_place(random, rows, cols), weights = random_place(random, cols, 2);
  const Place sums = random_place(random, rows, 4);
  const auto elements = random_words<std::int32_t>(random, x.size);
  const auto values = random_words<std::uint64_t>(random, weights.size);
  const auto around = random_words<std::uint64_t>(random, sums.size);
  const std::string what = std::to_string(rows) + "x" + std::to_string(cols);
  comparison.same("weigh", what, rows * cols, [&](Buffers& b) {
    kernels::Buffer* const out = b.put(around);
    check(b.table().weigh(b.context(), x.in(b.put(elements)), weights.in(b.put(values)),
                          sums.in(out)));
    return b.get(out, 8 * sums.size);
  });
}

}  // namespace

void compare_products(Comparison& comparison, Extent extent) {
  Random random(20240611);
  const int shapes = extent == Extent::full ? 1000 : 24;
  for (int i = 0; i < shapes; ++i) Case(random, random_shape(random)).compare(comparison);
  for (int i = 0; i < (extent == Extent::full ? 200 : 20); ++i) {
    compare_weigh(comparison, random, random_extent(random, 40), random_extent(random, 5000));
  }
  for (const Form form : {Form::ab, Form::abt, Form::atb}) {
    Case limit(random, {form, 3, 2, kernels::max_k_i8, false});
    limit.compare(comparison);
    limit.saturate();
    limit.compare(comparison);
  }
  if (extent == Extent::quick) return;
  compare_weigh(comparison, random, 5000, 4999);
  for (const Shape& shape : large_shapes) Case(random, shape).compare(comparison, large_repeats);
}

}  // namespace volt::gpu
