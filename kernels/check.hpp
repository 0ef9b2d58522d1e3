// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cinttypes>
#include <cstdint>
#include <type_traits>

#include "host.hpp"

/// The checks of a call's arguments, which are the same for every backend and word for word so.
namespace volt::kernels {

/// A Status with its text; no allocation, so that it works when memory is out.
__attribute__((format(printf, 2, 3))) Status say(Status::Code code, const char* format, ...);

/// The first thing wrong with a call's arguments; later checks are skipped once there is one.
class Check {
 public:
  bool failed() const { return status_.code != Status::ok; }
  Status status() const { return status_; }

  __attribute__((format(printf, 2, 3))) void invalid(const char* format, ...);

  /// `count` elements from `offset` on as T. The address of nothing is null.
  template <class T>
  T* range(const char* what, const Buffer* buffer, std::uint64_t offset, std::uint64_t count) {
    return elements<T>(what, buffer, offset, count, sizeof(T));
  }

  /// The same where only the call says how many bytes an element has.
  template <class T>
  T* elements(const char* what, const Buffer* buffer, std::uint64_t offset, std::uint64_t count,
              std::uint64_t width) {
    if (!fits(what, buffer, offset, count, width, !std::is_const_v<T>)) return nullptr;
    if constexpr (std::is_const_v<T>) {
      return reinterpret_cast<T*>(buffer->data + offset * width);
    } else {
      return reinterpret_cast<T*>(buffer->writable + offset * width);
    }
  }

  /// The matrix as a view. Its stride is never more than its elements take: that of a single row,
  /// which may be any number, is replaced.
  template <class T>
  View<T> view(const char* what, const Matrix& matrix) {
    const std::uint64_t extent = extent_of(what, matrix);
    if (extent == 0) return {nullptr, matrix.rows, matrix.cols, 0};
    return {range<T>(what, matrix.buffer, matrix.offset, extent), matrix.rows, matrix.cols,
            matrix.rows == 1 ? matrix.cols : matrix.stride};
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
    if (overlap(place_of(result), place_of(input))) invalid("%s overlaps %s", what, other);
  }

 private:
  /// `rows` runs of `width` bytes, one every `step` bytes.
  struct Place {
    std::uintptr_t begin;
    std::uint64_t rows, width, step;
  };
  template <class T>
  static Place place_of(const View<T>& view) {
    return {reinterpret_cast<std::uintptr_t>(view.data), view.rows, view.cols * sizeof(T),
            view.stride * sizeof(T)};
  }
  static bool overlap(Place a, Place b);

  bool fits(const char* what, const Buffer* buffer, std::uint64_t offset, std::uint64_t count,
            std::uint64_t width, bool written);
  std::uint64_t extent_of(const char* what, const Matrix& matrix);  ///< elements, first to last

  Status status_;
};

/// Bytes side by side, as a view.
template <class T>
View<T> line(T* data, std::uint64_t bytes) {
  return {data, 1, bytes, bytes};
}

/// A call's turn on its context: alone, in the floating-point state of the contract.
class Turn {
 public:
  explicit Turn(Context& context);
  Status end() { return context_.engine.store->end(context_); }

 private:
  Context& context_;
  std::lock_guard<std::mutex> lock_;
  ExactFloat exact_;
};

}  // namespace volt::kernels
