// SPDX-License-Identifier: Apache-2.0

#include "host.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace volt::kernels {

struct Buffer {
  Memory memory;  // empty when borrowed
  const std::byte* data = nullptr;
  std::byte* writable = nullptr;  // null when borrowed
  std::uint64_t bytes = 0;
  std::uint64_t counted = 0;  // towards the limit
};

namespace {

constexpr unsigned max_threads = 1024;

// Where the text of a Status lives; no allocation, so that it works when memory is out.
Status say_list(Status::Code code, const char* format, std::va_list arguments) {
  thread_local char text[320];
  std::vsnprintf(text, sizeof text, format, arguments);
  return {code, text};
}

__attribute__((format(printf, 2, 3))) Status say(Status::Code code, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const Status status = say_list(code, format, arguments);
  va_end(arguments);
  return status;
}

struct Figure {
  char text[32];
};

// Bytes in decimal units. What is needed is rounded up and what there is down, so that a refusal
// never reads "needs 32 MB, the limit is 32 MB".
Figure figure(std::uint64_t bytes, bool up) {
  static const char* const units[] = {"B", "kB", "MB", "GB"};
  std::uint64_t value = bytes;
  int unit = 0;
  for (std::uint64_t scale = 1; unit < 3 && value >= 10'000; ++unit) {
    scale *= 1000;
    value = bytes / scale + (up && bytes % scale != 0 ? 1 : 0);
  }
  // 2000 kB reads better as 2 MB, but only where nothing is lost
  while (unit < 3 && unit > 0 && value >= 1000 && value % 1000 == 0) value /= 1000, ++unit;
  Figure result;
  std::snprintf(result.text, sizeof result.text, "%" PRIu64 " %s", value, units[unit]);
  return result;
}

// The first thing wrong with a call's arguments; later checks are skipped once there is one.
class Check {
 public:
  bool failed() const { return status_.code != Status::ok; }
  Status status() const { return status_; }

  __attribute__((format(printf, 2, 3))) void invalid(const char* format, ...) {
    if (failed()) return;
    std::va_list arguments;
    va_start(arguments, format);
    status_ = say_list(Status::invalid, format, arguments);
    va_end(arguments);
  }

  /// `count` elements from `offset` on as T. The address of nothing is null.
  template <class T>
  T* range(const char* what, const Buffer* buffer, std::uint64_t offset, std::uint64_t count) {
    return elements<T>(what, buffer, offset, count, sizeof(T));
  }

  /// The same where only the call says how many bytes an element has.
  template <class T>
  T* elements(const char* what, const Buffer* buffer, std::uint64_t offset, std::uint64_t count,
              std::uint64_t width) {
    if (failed() || count == 0) return nullptr;
    if (buffer == nullptr) {
      invalid("%s has no buffer", what);
      return nullptr;
    }
    std::uint64_t end = 0, end_bytes = 0;
    if (__builtin_add_overflow(offset, count, &end) ||
        __builtin_mul_overflow(end, width, &end_bytes)) {
      invalid("%s: offset %" PRIu64 " and %" PRIu64 " elements overflow 64 bits", what, offset,
              count);
    } else if (end_bytes > buffer->bytes) {
      invalid("%s ends at byte %" PRIu64 " of a buffer of %" PRIu64, what, end_bytes,
              buffer->bytes);
    } else if (!std::is_const_v<T> && buffer->writable == nullptr) {
      invalid("%s is borrowed memory, which cannot be written", what);
    } else if (reinterpret_cast<std::uintptr_t>(buffer->data) % width != 0) {
      invalid("%s: the borrowed memory is not aligned to %d bytes", what, static_cast<int>(width));
    }
    if (failed()) return nullptr;
    if constexpr (std::is_const_v<T>) {
      return reinterpret_cast<T*>(buffer->data + offset * width);
    } else {
      return reinterpret_cast<T*>(buffer->writable + offset * width);
    }
  }

  template <class T>
  View<T> view(const char* what, const Matrix& matrix) {
    if (matrix.rows == 0 || matrix.cols == 0) return {nullptr, matrix.rows, matrix.cols, 0};
    std::uint64_t extent = 0;
    if (matrix.rows > 1 && matrix.stride < matrix.cols) {
      invalid("%s: stride %" PRIu64 " is less than %" PRIu64 " columns", what, matrix.stride,
              matrix.cols);
    } else if (__builtin_mul_overflow(matrix.rows - 1, matrix.stride, &extent) ||
               __builtin_add_overflow(extent, matrix.cols, &extent)) {
      invalid("%s: %" PRIu64 " rows with stride %" PRIu64 " overflow 64 bits", what, matrix.rows,
              matrix.stride);
    }
    T* data = range<T>(what, matrix.buffer, matrix.offset, extent);
    return {data, matrix.rows, matrix.cols, matrix.stride};
  }

  void equal(const char* what, std::uint64_t value, const char* other, std::uint64_t expected) {
    if (value != expected) {
      invalid("%s is %" PRIu64 ", but %s is %" PRIu64, what, value, other, expected);
    }
  }

  /// Results may not share elements with anything else of the call: what is read would depend on
  /// the order of the work.
  template <class T, class U>
  void apart(const char* what, const View<T>& result, const char* other, const View<U>& input) {
    if (failed() || result.data == nullptr || input.data == nullptr) return;
    if (overlap(result, input)) invalid("%s overlaps %s", what, other);
  }

 private:
  template <class T, class U>
  static bool overlap(const View<T>& a, const View<U>& b) {
    const auto begin_a = reinterpret_cast<std::uintptr_t>(a.data);
    const auto begin_b = reinterpret_cast<std::uintptr_t>(b.data);
    const std::uint64_t width_a = a.cols * sizeof(T), width_b = b.cols * sizeof(U);
    std::uint64_t step_a = a.stride * sizeof(T), step_b = b.stride * sizeof(U);
    if (begin_a + (a.rows - 1) * step_a + width_a <= begin_b) return false;
    if (begin_b + (b.rows - 1) * step_b + width_b <= begin_a) return false;
    // Columns side by side of one wide matrix: the same step, and apart within it.
    if (a.rows == 1) step_a = step_b;
    if (b.rows == 1) step_b = step_a;
    if (step_a != step_b || a.rows + b.rows == 2 || width_a > step_a || width_b > step_a) {
      return true;
    }
    const std::uint64_t ahead = (begin_b + step_a - begin_a % step_a) % step_a;
    return ahead < width_a || (step_a - ahead) % step_a < width_b;
  }

  Status status_;
};

// Bytes side by side, as a view.
template <class T>
View<T> line(T* data, std::uint64_t bytes) {
  return {data, 1, bytes, bytes};
}

// a.rows - 1 times a stride of a single row may overflow above: such a stride is never used.
template <class T>
View<T> plain(View<T> view) {
  if (view.rows == 1) view.stride = view.cols;
  return view;
}

std::uint64_t groups_of(std::uint64_t k) { return k / group + (k % group != 0 ? 1 : 0); }

// ---- contexts and memory

void close_context(Context* context) { delete context; }

bool count_memory(Context& context, std::uint64_t bytes) {
  std::uint64_t used = context.used.load();
  do {
    if (context.limit != 0 && (used > context.limit || bytes > context.limit - used)) return false;
  } while (!context.used.compare_exchange_weak(used, used + bytes));
  return true;
}

Status create(Context* context, std::uint64_t bytes, Buffer** buffer) {
  *buffer = nullptr;
  if (!count_memory(*context, bytes)) {
    const std::uint64_t used = context->used.load();
    const Figure more = figure(bytes, true), limit = figure(context->limit, false);
    if (used == 0) {
      return say(Status::out_of_memory, "needs %s more, the limit is %s", more.text, limit.text);
    }
    return say(Status::out_of_memory, "needs %s more, the limit is %s, of which %s are in use",
               more.text, limit.text, figure(used, true).text);
  }
  Buffer* made = new (std::nothrow) Buffer;
  if (made == nullptr || !made->memory.take(bytes)) {
    delete made;
    context->used -= bytes;
    return say(Status::out_of_memory, "needs %s more, which the system does not have",
               figure(bytes, true).text);
  }
  made->data = made->writable = made->memory.data();
  made->bytes = made->counted = bytes;
  *buffer = made;
  return {};
}

Status borrow(Context*, const void* host, std::uint64_t bytes, Buffer** buffer) {
  *buffer = nullptr;
  if (host == nullptr && bytes != 0) {
    return say(Status::invalid, "there are no %" PRIu64 " bytes to borrow at null", bytes);
  }
  Buffer* made = new (std::nothrow) Buffer;
  if (made == nullptr) return say(Status::out_of_memory, "no memory left for a buffer");
  made->data = static_cast<const std::byte*>(host);
  made->bytes = bytes;
  *buffer = made;
  return {};
}

void destroy(Context* context, Buffer* buffer) {
  if (buffer == nullptr) return;
  context->used -= buffer->counted;
  delete buffer;
}

Status upload(Context*, Buffer* buffer, std::uint64_t offset_bytes, const void* host,
              std::uint64_t bytes) {
  Check check;
  std::uint8_t* to = check.range<std::uint8_t>("upload", buffer, offset_bytes, bytes);
  if (host == nullptr && bytes != 0) check.invalid("upload from null");
  if (!check.failed() && bytes != 0) std::memcpy(to, host, bytes);
  return check.status();
}

Status download(Context*, const Buffer* buffer, std::uint64_t offset_bytes, void* host,
                std::uint64_t bytes) {
  Check check;
  const auto* from = check.range<const std::uint8_t>("download", buffer, offset_bytes, bytes);
  if (host == nullptr && bytes != 0) check.invalid("download to null");
  if (!check.failed() && bytes != 0) std::memcpy(host, from, bytes);
  return check.status();
}

// ---- operations

// Runs `work` with the contract's floating-point state, one at a time in a context.
template <class Work>
Status perform(Context* context, const Check& check, bool empty, Work work) {
  if (check.failed() || empty) return check.status();
  const std::lock_guard lock(context->busy);
  const ExactFloat exact;
  if (work()) return {};
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

// The extents of scales follow from those of q.
void check_scales(Check& check, const char* rows_name, const char* cols_name, const Quantised& x) {
  const bool along_cols = x.axis == Quantised::along_cols;
  check.equal(rows_name, x.scales.rows, along_cols ? "the rows of q" : "the groups of q's rows",
              along_cols ? x.q.rows : groups_of(x.q.rows));
  check.equal(cols_name, x.scales.cols,
              along_cols ? "the groups of q's columns" : "the columns of q",
              along_cols ? groups_of(x.q.cols) : x.q.cols);
}

Status quantise(Context* context, const Matrix& x, const Quantised& out) {
  Check check;
  check_axis(check, "out", out.axis);
  check.equal("out.q.rows", out.q.rows, "x.rows", x.rows);
  check.equal("out.q.cols", out.q.cols, "x.cols", x.cols);
  check_scales(check, "out.scales.rows", "out.scales.cols", out);
  const QuantiseJob job = {plain(check.view<const float>("x", x)),
                           plain(check.view<std::int8_t>("out.q", out.q)),
                           plain(check.view<float>("out.scales", out.scales)), out.axis};
  check.apart("out.q", job.q, "x", job.x);
  check.apart("out.scales", job.scales, "x", job.x);
  check.apart("out.q", job.q, "out.scales", job.scales);
  return perform(context, check, x.rows == 0 || x.cols == 0, [&] {
    context->engine.quantise(*context, job);
    return true;
  });
}

bool k_is_rows_of_a(Form form) { return form == Form::atb || form == Form::atb_diagonal; }
bool k_is_rows_of_b(Form form) { return form != Form::abt && form != Form::abt_diagonal; }

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
  job.a = plain(check.view<const In>("a", a));
  job.b = plain(check.view<const In>("b", b));
  job.c = plain(check.view<Out>("c", c));
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

Status matmul_i8x(Context* context, Form form, const Quantised& a, const Quantised& b,
                  const Matrix& c) {
  Check check;
  QuantisedProduct job;
  check_axis(check, "a", a.axis);
  check_axis(check, "b", b.axis);
  check_product<decltype(job), std::int8_t, float>(check, job, form, a.q, b.q, c);
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
  job.scales_a = plain(check.view<const float>("a.scales", a.scales));
  job.scales_b = plain(check.view<const float>("b.scales", b.scales));
  check.apart("c", job.c, "a.scales", job.scales_a);
  check.apart("c", job.c, "b.scales", job.scales_b);
  return perform(context, check, job.m == 0 || job.n == 0,
                 [&] { return context->engine.matmul_i8x(*context, job); });
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
    case Function::limbs:
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
  const Selection<T> job = {lines, plain(check.view<const T>("from", from)), index,
                            plain(check.view<T>("to", to))};
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

Status compare(Context* context, const Buffer* a, std::uint64_t a_offset_bytes, const Buffer* b,
               std::uint64_t b_offset_bytes, std::uint64_t bytes, std::uint64_t* first) {
  Check check;
  const auto* x = check.range<const std::uint8_t>("a", a, a_offset_bytes, bytes);
  const auto* y = check.range<const std::uint8_t>("b", b, b_offset_bytes, bytes);
  *first = bytes;
  return perform(context, check, bytes == 0, [&] {
    constexpr std::uint64_t piece = 1 << 20;
    for (std::uint64_t done = 0; done < bytes; done += piece) {
      const std::uint64_t count = std::min(piece, bytes - done);
      if (std::memcmp(x + done, y + done, count) == 0) continue;
      *first = done + static_cast<std::uint64_t>(
                          std::mismatch(x + done, x + done + count, y + done).first - (x + done));
      break;
    }
    return true;
  });
}

Status copy(Context* context, const Buffer* from, std::uint64_t from_offset_bytes, Buffer* to,
            std::uint64_t to_offset_bytes, std::uint64_t bytes) {
  Check check;
  const auto* source = check.range<const std::uint8_t>("from", from, from_offset_bytes, bytes);
  auto* target = check.range<std::uint8_t>("to", to, to_offset_bytes, bytes);
  check.apart("to", line(target, bytes), "from", line(source, bytes));
  return perform(context, check, bytes == 0, [&] {
    std::memcpy(target, source, bytes);
    return true;
  });
}

}  // namespace

namespace {

// Products walk down columns, a page a step: with pages of 4 KiB that costs them 2 to 3 percent.
void huge_pages([[maybe_unused]] void* block, [[maybe_unused]] std::uint64_t bytes) {
#if defined(__linux__)
  constexpr std::uint64_t page = 4096, worth = 4 << 20;
  if (bytes < worth) return;
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uint64_t ahead = (page - address % page) % page;
  // A hint: where it is refused, nothing is lost but speed.
  madvise(static_cast<std::byte*>(block) + ahead, (bytes - ahead) / page * page, MADV_HUGEPAGE);
#endif
}

}  // namespace

Memory::~Memory() { std::free(block_); }

bool Memory::take(std::uint64_t bytes) {
  constexpr std::uint64_t alignment = 64;
  std::free(block_);
  block_ = nullptr, data_ = nullptr, bytes_ = 0;
  if (bytes > PTRDIFF_MAX - alignment) return false;
  block_ = std::calloc(bytes + alignment, 1);
  if (block_ == nullptr) return false;
  huge_pages(block_, bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(block_);
  data_ = static_cast<std::byte*>(block_) + (alignment - address % alignment);
  bytes_ = bytes;
  return true;
}

Status open_context(const Engine& engine, const Options& options, unsigned threads,
                    Context** context) {
  *context = nullptr;
  if (threads == 0)
    threads = std::max(1u, std::min(std::thread::hardware_concurrency(), max_threads));
  if (threads > max_threads) {
    return say(Status::invalid, "%u threads are asked for, the most is %u", threads, max_threads);
  }
  try {
    *context = new Context(engine, threads, options.memory_limit);
    return {};
  } catch (const std::bad_alloc&) {
    return say(Status::out_of_memory, "no memory left for a context");
  } catch (const std::system_error& error) {
    return say(Status::failed, "could not start %u threads: %s", threads, error.what());
  } catch (const std::exception& error) {
    return say(Status::failed, "%s", error.what());
  }
}

Backend make_backend(const char* name, Status (*open)(const Options&, Context**)) {
  return {name,         open,     close_context, create,   borrow,      destroy,   upload,
          download,     fill_f32, fill_i8,       quantise, matmul_f32x, matmul_i8, matmul_i8x,
          page_digests, map,      select,        compare,  copy};
}

}  // namespace volt::kernels
