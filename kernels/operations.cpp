// SPDX-License-Identifier: Apache-2.0

// The operations of a backend: checks, and then the engine of the context.

#include "check.hpp"

namespace volt::kernels {
namespace {

std::uint64_t groups_of(std::uint64_t k) { return k / group + (k % group != 0 ? 1 : 0); }

// Has `work` done by the engine when the arguments are good and there is something to be done.
template <class Work>
Status perform(Context* context, const Check& check, bool empty, Work work) {
  if (check.failed() || empty) return check.status();
  Turn turn(*context);
  const bool enough = work();
  const Status status = turn.end();
  if (status.code != Status::ok || enough) return status;
  return say(Status::out_of_memory, "no memory left for packed operands");
}

template <class T>
Status fill(Context* context, void (*Engine::*run)(Context&, T*, const Stream&), Buffer* buffer,
            std::uint64_t offset, const Stream& stream) {
  Check check;
  T* to = check.range<T>("fill", buffer, offset, stream.count);
  std::uint64_t end = 0;
  if (__builtin_add_overflow(stream.first, stream.count, &end)) {
    check.invalid("fill: element %" PRIu64 " and %" PRIu64 " elements overflow 64 bits",
                  stream.first, stream.count);
  }
  return perform(context, check, stream.count == 0, [&] {
    (context->engine.*run)(*context, to, stream);
    return true;
  });
}

Status fill_f32(Context* context, Buffer* buffer, std::uint64_t offset, std::uint64_t count,
                std::uint64_t seed, std::uint32_t stream, std::uint64_t first) {
  return fill(context, &Engine::fill_f32, buffer, offset, {count, seed, first, stream});
}

Status fill_i8(Context* context, Buffer* buffer, std::uint64_t offset, std::uint64_t count,
               std::uint64_t seed, std::uint32_t stream, std::uint64_t first) {
  return fill(context, &Engine::fill_i8, buffer, offset, {count, seed, first, stream});
}

void check_axis(Check& check, const char* what, Quantised::Axis axis) {
  if (axis != Quantised::along_cols && axis != Quantised::along_rows) {
    check.invalid("%s: axis %d is unknown", what, static_cast<int>(axis));
  }
}

// The extents of scales follow from those of q, or of limbs.
void check_scales(Check& check, const char* rows_name, const char* cols_name, const Quantised& x) {
  const bool along_cols = x.axis == Quantised::along_cols;
  check.equal(rows_name, x.scales.rows, along_cols ? "the rows of q" : "the groups of q's rows",
              along_cols ? x.q.rows : groups_of(x.q.rows));
  check.equal(cols_name, x.scales.cols,
              along_cols ? "the groups of q's columns" : "the columns of q",
              along_cols ? groups_of(x.q.cols) : x.q.cols);
}

Quantised high_of(const QuantisedLimbs& x) { return {x.high, x.scales, x.axis}; }

Status quantise(Context* context, const Matrix& x, const Quantised& out) {
  Check check;
  check_axis(check, "out", out.axis);
  check.equal("out.q.rows", out.q.rows, "x.rows", x.rows);
  check.equal("out.q.cols", out.q.cols, "x.cols", x.cols);
  check_scales(check, "out.scales.rows", "out.scales.cols", out);
  const QuantiseJob job = {check.view<const float>("x", x), check.view<std::int8_t>("out.q", out.q),
                           check.view<float>("out.scales", out.scales), out.axis};
  check.apart("out.q", job.q, "x", job.x);
  check.apart("out.scales", job.scales, "x", job.x);
  check.apart("out.q", job.q, "out.scales", job.scales);
  return perform(context, check, x.rows == 0 || x.cols == 0, [&] {
    context->engine.quantise(*context, job);
    return true;
  });
}

Status quantise_limbs(Context* context, const Matrix& x, const QuantisedLimbs& out) {
  Check check;
  check_axis(check, "out", out.axis);
  check.equal("out.high.rows", out.high.rows, "x.rows", x.rows);
  check.equal("out.high.cols", out.high.cols, "x.cols", x.cols);
  check.equal("out.low.rows", out.low.rows, "x.rows", x.rows);
  check.equal("out.low.cols", out.low.cols, "x.cols", x.cols);
  check_scales(check, "out.scales.rows", "out.scales.cols", high_of(out));
  const QuantiseLimbsJob job = {check.view<const float>("x", x),
                                check.view<std::int8_t>("out.high", out.high),
                                check.view<std::int8_t>("out.low", out.low),
                                check.view<float>("out.scales", out.scales), out.axis};
  check.apart("out.high", job.high, "x", job.x);
  check.apart("out.low", job.low, "x", job.x);
  check.apart("out.scales", job.scales, "x", job.x);
  check.apart("out.high", job.high, "out.low", job.low);
  check.apart("out.high", job.high, "out.scales", job.scales);
  check.apart("out.low", job.low, "out.scales", job.scales);
  return perform(context, check, x.rows == 0 || x.cols == 0, [&] {
    context->engine.quantise_limbs(*context, job);
    return true;
  });
}

// Everything about a product but the scales.
template <class Job, class In, class Out>
void check_product(Check& check, Job& job, Form form, const Matrix& a, const Matrix& b,
                   const Matrix& c) {
  if (form < Form::ab || form > Form::atb_diagonal) {
    check.invalid("form %d is unknown", static_cast<int>(form));
  }
  const bool ka = k_is_rows_of_a(form), kb = k_is_rows_of_b(form);
  job.form = form;
  job.m = ka ? a.cols : a.rows;
  job.n = kb ? b.cols : b.rows;
  job.k = ka ? a.rows : a.cols;
  check.equal(kb ? "k of b (its rows)" : "k of b (its columns)", kb ? b.rows : b.cols,
              ka ? "k of a (its rows)" : "k of a (its columns)", job.k);
  check.equal("c.rows", c.rows, ka ? "a.cols" : "a.rows", job.m);
  if (is_diagonal(form)) {
    check.equal(kb ? "b.cols" : "b.rows", job.n, "m of a diagonal", job.m);
    check.equal("c.cols", c.cols, "a diagonal", 1);
  } else {
    check.equal("c.cols", c.cols, kb ? "b.cols" : "b.rows", job.n);
  }
  job.a = check.view<const In>("a", a);
  job.b = check.view<const In>("b", b);
  job.c = check.view<Out>("c", c);
  check.apart("c", job.c, "a", job.a);
  check.apart("c", job.c, "b", job.b);
}

Status matmul_f32x(Context* context, Form form, const Matrix& a, const Matrix& b, const Matrix& c) {
  Check check;
  Product<float, float> job;
  check_product<decltype(job), float, float>(check, job, form, a, b, c);
  return perform(context, check, job.m == 0 || job.n == 0,
                 [&] { return context->engine.matmul_f32x(*context, job); });
}

Status matmul_i8(Context* context, Form form, const Matrix& a, const Matrix& b, const Matrix& c) {
  Check check;
  Product<std::int8_t, std::int32_t> job;
  check_product<decltype(job), std::int8_t, std::int32_t>(check, job, form, a, b, c);
  if (job.k > max_k_i8) {
    check.invalid("k is %" PRIu64 ", an i8 product takes at most %" PRIu64, job.k, max_k_i8);
  }
  return perform(context, check, job.m == 0 || job.n == 0,
                 [&] { return context->engine.matmul_i8(*context, job); });
}

// All of a product of groups but limbs.
void check_groups(Check& check, QuantisedProduct& job, Form form, const Quantised& a,
                  const Quantised& b, const Matrix& c) {
  check_axis(check, "a", a.axis);
  check_axis(check, "b", b.axis);
  check_product<QuantisedProduct, std::int8_t, float>(check, job, form, a.q, b.q, c);
  if ((a.axis == Quantised::along_rows) != k_is_rows_of_a(form)) {
    check.invalid("a is not grouped along k, which is its %s in this form",
                  k_is_rows_of_a(form) ? "rows" : "columns");
  }
  if ((b.axis == Quantised::along_rows) != k_is_rows_of_b(form)) {
    check.invalid("b is not grouped along k, which is its %s in this form",
                  k_is_rows_of_b(form) ? "rows" : "columns");
  }
  check_scales(check, "a.scales.rows", "a.scales.cols", a);
  check_scales(check, "b.scales.rows", "b.scales.cols", b);
  job.scales_a = check.view<const float>("a.scales", a.scales);
  job.scales_b = check.view<const float>("b.scales", b.scales);
  check.apart("c", job.c, "a.scales", job.scales_a);
  check.apart("c", job.c, "b.scales", job.scales_b);
}

Status matmul_i8x(Context* context, Form form, const Quantised& a, const Quantised& b,
                  const Matrix& c) {
  Check check;
  QuantisedProduct job;
  check_groups(check, job, form, a, b, c);
  return perform(context, check, job.m == 0 || job.n == 0,
                 [&] { return context->engine.matmul_i8x(*context, job); });
}

Status matmul_i8x2(Context* context, Form form, const QuantisedLimbs& a, const QuantisedLimbs& b,
                   const Matrix& c) {
  Check check;
  LimbsProduct job;
  check_groups(check, job, form, high_of(a), high_of(b), c);
  if (is_diagonal(form)) check.invalid("an i8x2 product has no diagonal form");
  const auto low = [&](const char* rows, const char* cols, const QuantisedLimbs& x) {
    check.equal(rows, x.low.rows, "that of the high limbs", x.high.rows);
    check.equal(cols, x.low.cols, "that of the high limbs", x.high.cols);
  };
  low("a.low.rows", "a.low.cols", a);
  low("b.low.rows", "b.low.cols", b);
  job.low_a = check.view<const std::int8_t>("a.low", a.low);
  job.low_b = check.view<const std::int8_t>("b.low", b.low);
  check.apart("c", job.c, "a.low", job.low_a);
  check.apart("c", job.c, "b.low", job.low_b);
  return perform(context, check, job.m == 0 || job.n == 0,
                 [&] { return context->engine.matmul_i8x2(*context, job); });
}

Status matmul_bf16(Context* context, Form form, const Matrix& a, const Matrix& b, const Matrix& c) {
  Check check;
  Product<std::uint16_t, float> job;
  check_product<decltype(job), std::uint16_t, float>(check, job, form, a, b, c);
  if (is_diagonal(form)) check.invalid("a bf16 product has no diagonal form");
  return perform(context, check, job.m == 0 || job.n == 0,
                 [&] { return context->engine.matmul_bf16(*context, job); });
}

Status weigh(Context* context, const Matrix& x, const Matrix& weights, const Matrix& sums) {
  Check check;
  check.equal("weights.rows", weights.rows, "x.cols", x.cols);
  check.equal("weights.cols", weights.cols, "the number of weightings", weight_vectors);
  check.equal("sums.rows", sums.rows, "x.rows", x.rows);
  check.equal("sums.cols", sums.cols, "that of the words of a row's sums", 2 * weight_vectors);
  const Weighing job = {check.view<const std::int32_t>("x", x),
                        check.view<const std::uint64_t>("weights", weights),
                        check.view<std::uint64_t>("sums", sums)};
  check.apart("sums", job.sums, "x", job.x);
  check.apart("sums", job.sums, "weights", job.weights);
  return perform(context, check, sums.rows == 0,
                 [&] { return context->engine.weigh(*context, job); });
}

Status page_digests(Context* context, const Buffer* buffer, std::uint64_t offset_bytes,
                    std::uint64_t bytes, std::uint8_t* digests) {
  Check check;
  const auto* data = check.range<const std::uint8_t>("pages", buffer, offset_bytes, bytes);
  if (digests == nullptr && bytes != 0) check.invalid("pages: no room for the digests");
  return perform(context, check, bytes == 0, [&] {
    context->engine.page_digests(*context, data, bytes, digests);
    return true;
  });
}

// ---- elements and bytes

struct Widths {
  std::uint64_t in, out;
};

// Bytes of an element before and after; none of a function that there is not.
Widths widths_of(Function function) {
  switch (function) {
    case Function::exp:
    case Function::exp2:
    case Function::log:
    case Function::log1p:
    case Function::tanh:
    case Function::sigmoid:
    case Function::erf:
    case Function::rsqrt:
      return {4, 4};
    case Function::sin_turns:
    case Function::cos_turns:
      return {8, 4};
    case Function::to_bf16:
    case Function::to_fp16:
      return {4, 2};
    case Function::from_bf16:
    case Function::from_fp16:
      return {2, 4};
  }
  return {0, 0};
}

Status map(Context* context, Function function, const Buffer* x, std::uint64_t x_offset, Buffer* y,
           std::uint64_t y_offset, std::uint64_t count) {
  Check check;
  const Widths widths = widths_of(function);
  if (widths.in == 0) check.invalid("function %d is unknown", static_cast<int>(function));
  const std::uint8_t* const from =
      check.elements<const std::uint8_t>("x", x, x_offset, count, widths.in);
  std::uint8_t* const to = check.elements<std::uint8_t>("y", y, y_offset, count, widths.out);
  check.apart("y", line(to, count * widths.out), "x", line(from, count * widths.in));
  return perform(context, check, count == 0, [&] {
    context->engine.map(*context, {function, from, to, count});
    return true;
  });
}

template <class T>
Status select_of(Context* context, void (*Engine::*run)(Context&, const Selection<T>&), Lines lines,
                 const Matrix& from, const std::uint64_t* index, const Matrix& to) {
  Check check;
  if (lines != Lines::rows && lines != Lines::columns) {
    check.invalid("lines %d are unknown", static_cast<int>(lines));
  }
  const bool rows = lines == Lines::rows;
  if (rows) {
    check.equal("to.cols", to.cols, "from.cols", from.cols);
  } else {
    check.equal("to.rows", to.rows, "from.rows", from.rows);
  }
  const Selection<T> job = {lines, check.view<const T>("from", from), index,
                            check.view<T>("to", to)};
  check.apart("to", job.to, "from", job.from);
  const std::uint64_t count = rows ? to.rows : to.cols, most = rows ? from.rows : from.cols;
  if (index == nullptr && count != 0) check.invalid("select: there is no index");
  for (std::uint64_t i = 0; !check.failed() && i < count; ++i) {
    if (index[i] >= most) {
      check.invalid("index %" PRIu64 " is %" PRIu64 ", but there are %" PRIu64 " lines", i,
                    index[i], most);
    }
  }
  return perform(context, check, to.rows == 0 || to.cols == 0, [&] {
    ++context->changes;
    (context->engine.*run)(*context, job);
    return true;
  });
}

Status select(Context* context, Lines lines, std::uint32_t width, const Matrix& from,
              const std::uint64_t* index, const Matrix& to) {
  if (width == 4) return select_of(context, &Engine::select_words, lines, from, index, to);
  if (width == 1) return select_of(context, &Engine::select_bytes, lines, from, index, to);
  return say(Status::invalid, "elements of %" PRIu32 " bytes cannot be selected", width);
}

}  // namespace

void add_operations(Backend& backend) {
  backend.fill_f32 = fill_f32;
  backend.fill_i8 = fill_i8;
  backend.quantise = quantise;
  backend.quantise_limbs = quantise_limbs;
  backend.matmul_f32x = matmul_f32x;
  backend.matmul_i8 = matmul_i8;
  backend.matmul_i8x = matmul_i8x;
  backend.matmul_i8x2 = matmul_i8x2;
  backend.matmul_bf16 = matmul_bf16;
  backend.weigh = weigh;
  backend.page_digests = page_digests;
  backend.map = map;
  backend.select = select;
}

}  // namespace volt::kernels
