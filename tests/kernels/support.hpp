// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace volt::kernels::test {

inline std::string text_of(Status status) { return status.text == nullptr ? "" : status.text; }

#define VOLT_OK(call)                                                                            \
  do {                                                                                           \
    const ::volt::kernels::Status s_ = call;                                                     \
    REQUIRE_MESSAGE(s_.code == ::volt::kernels::Status::ok, ::volt::kernels::test::text_of(s_)); \
  } while (false)

#define VOLT_REFUSED(expected_code, expected_text, call)        \
  do {                                                          \
    const ::volt::kernels::Status s_ = call;                    \
    CHECK(s_.code == ::volt::kernels::Status::expected_code);   \
    CHECK(::volt::kernels::test::text_of(s_) == expected_text); \
  } while (false)

/// The backends that this program tests: first the reference, then what has to give the same bits.
/// test_kernels has those of the CPU, test_emulated those of GPUs in the emulator.
std::vector<Backend> all_backends();

/// Those but the reference.
std::vector<Backend> fast_backends();

/// A context and everything made in it.
class Session {
 public:
  explicit Session(const Backend& backend, std::uint32_t threads = 1, std::uint64_t limit = 0)
      : table(backend) {
    VOLT_OK(table.open({threads, limit}, &context));
  }
  ~Session() {
    for (Buffer* buffer : buffers_) table.destroy(context, buffer);
    table.close(context);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Buffer* room(std::uint64_t bytes) {
    Buffer* buffer = nullptr;
    VOLT_OK(table.create(context, bytes, &buffer));
    buffers_.push_back(buffer);
    return buffer;
  }

  template <class T>
  Buffer* put(const std::vector<T>& values) {
    Buffer* buffer = room(values.size() * sizeof(T));
    VOLT_OK(table.upload(context, buffer, 0, values.data(), values.size() * sizeof(T)));
    return buffer;
  }

  template <class T>
  std::vector<T> get(const Buffer* buffer, std::uint64_t count) {
    std::vector<T> values(count);
    VOLT_OK(table.download(context, buffer, 0, values.data(), count * sizeof(T)));
    return values;
  }

  const Backend table;
  Context* context = nullptr;

 private:
  std::vector<Buffer*> buffers_;
};

/// The bits of floats, so that comparison sees NaNs and the sign of zero.
inline std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) bits[i] = std::bit_cast<std::uint32_t>(values[i]);
  return bits;
}

inline Matrix dense(Buffer* buffer, std::uint64_t rows, std::uint64_t cols) {
  return {buffer, 0, rows, cols, cols};
}

}  // namespace volt::kernels::test
