// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cfenv>
#include <thread>

#include "support.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace volt::kernels::test {
namespace {

// Results that a state other than the contract's would change: denormals, and rounding.
std::vector<std::uint32_t> sensitive(const Backend& backend, std::uint32_t threads) {
  constexpr std::uint64_t size = 192;  // enough to be shared
  std::vector<float> x(size * size);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(static_cast<int>(i * 2654435761u % 1001) - 500) * 0x1.234p-73f;
  }
  Session s(backend, threads);
  Buffer* in = s.put(x);
  Buffer* out = s.room(size * size * 4);
  VOLT_OK(backend.matmul_f32x(s.context, Form::abt, dense(in, size, size), dense(in, size, size),
                              dense(out, size, size)));
  auto all = bits_of(s.get<float>(out, size * size));
  Buffer* q = s.room(size * size);
  Buffer* scales = s.room(size * 2 * 4);
  const Quantised quantised = {dense(q, size, size), dense(scales, size, 2), Quantised::along_cols};
  VOLT_OK(backend.quantise(s.context, dense(in, size, size), quantised));
  VOLT_OK(backend.matmul_i8x(s.context, Form::abt, quantised, quantised, dense(out, size, size)));
  const auto more = bits_of(s.get<float>(out, size * size));
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

#if defined(__x86_64__)
TEST_CASE("a caller's FTZ, DAZ and rounding mode change no bit, and come back") {
  const unsigned before = _mm_getcsr();
  const auto expected = sensitive(cpu_reference(), 1);
  CHECK(std::count_if(expected.begin(), expected.end(), [](std::uint32_t v) {
          return (v & 0x7fffffff) != 0 && (v & 0x7f800000) == 0;
        }) > 1000);  // there are denormals to lose
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    for (unsigned mode : {0x8040u, 0x6000u, 0xe040u}) {  // FTZ|DAZ, toward zero, both
      for (std::uint32_t threads : {1u, 2u}) {
        _mm_setcsr(before | mode);
        const auto got = sensitive(backend, threads);
        const unsigned after = _mm_getcsr();
        _mm_setcsr(before);
        CHECK((after & ~0x3fu) == ((before | mode) & ~0x3fu));
        CHECK(got == expected);
      }
    }
  }
}
#endif

TEST_CASE("a caller's rounding direction changes no bit, and comes back") {
  const auto expected = sensitive(cpu_reference(), 1);
  for (int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(mode);
    const auto got = sensitive(cpu(), 2);
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    CHECK(after == mode);
    CHECK(got == expected);
  }
}

TEST_CASE("threads may share a context") {
  constexpr std::uint64_t size = 64;
  Session s(cpu(), 2);
  std::vector<float> x(size * size, 0.5f);
  Buffer* in = s.put(x);
  Buffer* out[4];
  for (Buffer*& buffer : out) buffer = s.room(size * size * 4);
  std::vector<std::thread> threads;
  for (Buffer* buffer : out) {
    threads.emplace_back([&s, in, buffer] {
      for (int i = 0; i < 20; ++i) {
        s.table.matmul_f32x(s.context, Form::ab, dense(in, size, size), dense(in, size, size),
                            dense(buffer, size, size));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Buffer* buffer : out) {
    CHECK(s.get<float>(buffer, size * size) == std::vector<float>(size * size, 20 * 16.0f));
  }
}

}  // namespace volt::kernels::test
