// SPDX-License-Identifier: Apache-2.0

#include "check.hpp"

#include <cstdarg>
#include <cstdio>

namespace volt::kernels {
namespace {

Status say_list(Status::Code code, const char* format, std::va_list arguments) {
  thread_local char text[320];
  std::vsnprintf(text, sizeof text, format, arguments);
  return {code, text};
}

}  // namespace

Status say(Status::Code code, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const Status status = say_list(code, format, arguments);
  va_end(arguments);
  return status;
}

void Check::invalid(const char* format, ...) {
  if (failed()) return;
  std::va_list arguments;
  va_start(arguments, format);
  status_ = say_list(Status::invalid, format, arguments);
  va_end(arguments);
}

bool Check::fits(const char* what, const Buffer* buffer, std::uint64_t offset, std::uint64_t count,
                 std::uint64_t width, bool written) {
  if (failed() || count == 0) return false;
  std::uint64_t end = 0, end_bytes = 0;
  if (buffer == nullptr) {
    invalid("%s has no buffer", what);
  } else if (__builtin_add_overflow(offset, count, &end) ||
             __builtin_mul_overflow(end, width, &end_bytes)) {
    invalid("%s: offset %" PRIu64 " and %" PRIu64 " elements overflow 64 bits", what, offset,
            count);
  } else if (end_bytes > buffer->bytes) {
    invalid("%s ends at byte %" PRIu64 " of a buffer of %" PRIu64, what, end_bytes, buffer->bytes);
  } else if (written && buffer->writable == nullptr) {
    invalid("%s is borrowed memory, which cannot be written", what);
  } else if (reinterpret_cast<std::uintptr_t>(buffer->data) % width != 0) {
    invalid("%s: the borrowed memory is not aligned to %d bytes", what, static_cast<int>(width));
  }
  return !failed();
}

std::uint64_t Check::extent_of(const char* what, const Matrix& matrix) {
  if (matrix.rows == 0 || matrix.cols == 0) return 0;
  std::uint64_t extent = 0;
  if (matrix.rows > 1 && matrix.stride < matrix.cols) {
    invalid("%s: stride %" PRIu64 " is less than %" PRIu64 " columns", what, matrix.stride,
            matrix.cols);
  } else if (__builtin_mul_overflow(matrix.rows - 1, matrix.stride, &extent) ||
             __builtin_add_overflow(extent, matrix.cols, &extent)) {
    invalid("%s: %" PRIu64 " rows with stride %" PRIu64 " overflow 64 bits", what, matrix.rows,
            matrix.stride);
  }
  return extent;
}

bool Check::overlap(Place a, Place b) {
  if (a.begin + (a.rows - 1) * a.step + a.width <= b.begin) return false;
  if (b.begin + (b.rows - 1) * b.step + b.width <= a.begin) return false;
  // Columns side by side of one wide matrix: the same step, and apart within it.
  if (a.rows == 1) a.step = b.step;
  if (b.rows == 1) b.step = a.step;
  if (a.step != b.step || a.rows + b.rows == 2 || a.width > a.step || b.width > a.step) {
    return true;
  }
  const std::uint64_t ahead = (b.begin + a.step - a.begin % a.step) % a.step;
  return ahead < a.width || (a.step - ahead) % a.step < b.width;
}

Turn::Turn(Context& context) : context_(context), lock_(context.busy) {
  context.engine.store->begin(context);
}

}  // namespace volt::kernels
