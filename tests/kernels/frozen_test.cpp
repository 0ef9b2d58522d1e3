// SPDX-License-Identifier: Apache-2.0

#include "kernels/sha256_cpu.hpp"
#include "support.hpp"

namespace volt::kernels::test {
namespace {

constexpr std::uint64_t m = 37, n = 53, k = 300, k_groups = 3;

// SHA-256 over the page digests of a result.
std::string digest_of(Session& s, const Buffer* buffer, std::uint64_t bytes) {
  std::vector<std::uint8_t> pages((bytes + page_bytes - 1) / page_bytes * 32);
  VOLT_OK(s.table.page_digests(s.context, buffer, 0, bytes, pages.data()));
  std::uint8_t digest[32];
  sha256(sha256_compress_scalar, nullptr, 0, pages.data(), pages.size(), digest);
  std::string text;
  for (std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace

// These digests are the numerics contract, version 1, as numbers. They must never change: a change
// means that receipts already given would no longer verify. A new arithmetic is a new version with
// its own digests beside these.
TEST_CASE("fixed products have the digests that they have always had") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    Buffer* a = s.room(m * k * 4);
    Buffer* b = s.room(n * k * 4);
    Buffer* c = s.room(m * n * 4);
    VOLT_OK(backend.fill_f32(s.context, a, 0, m * k, 1, 10, 0));
    VOLT_OK(backend.fill_f32(s.context, b, 0, n * k, 1, 11, 0));
    VOLT_OK(backend.fill_f32(s.context, c, 0, m * n, 1, 12, 0));
    CHECK(digest_of(s, a, m * k * 4) ==
          "8084dc83776941fa1cc8d56770fa9b8d8a81f17bdd205c75d558c5be5447aa71");

    VOLT_OK(
        backend.matmul_f32x(s.context, Form::abt, dense(a, m, k), dense(b, n, k), dense(c, m, n)));
    CHECK(digest_of(s, c, m * n * 4) ==
          "f074eeacbe4d280e1afd0653c9479db359ef96787e443b13bc4119bad23678a6");

    Buffer* qa = s.room(m * k);
    Buffer* qb = s.room(n * k);
    const Quantised x = {dense(qa, m, k), dense(s.room(m * k_groups * 4), m, k_groups),
                         Quantised::along_cols};
    const Quantised y = {dense(qb, n, k), dense(s.room(n * k_groups * 4), n, k_groups),
                         Quantised::along_cols};
    VOLT_OK(backend.quantise(s.context, dense(a, m, k), x));
    VOLT_OK(backend.quantise(s.context, dense(b, n, k), y));
    CHECK(digest_of(s, qa, m * k) ==
          "826fca158a9582169991bab27387c602548a66c561054124a65ab2510ddc6bb9");
    CHECK(digest_of(s, x.scales.buffer, m * k_groups * 4) ==
          "f3cd8039d172f45334fa01572fe441be28a2a08398d9588a6483cf830b15a5a1");

    Buffer* joined = s.room(m * n * 4);
    VOLT_OK(backend.matmul_i8x(s.context, Form::abt, x, y, dense(joined, m, n)));
    CHECK(digest_of(s, joined, m * n * 4) ==
          "f0a73723e6209dba0258e9e6732042921d7f96bc835cc85c8a51406924b78419");

    VOLT_OK(backend.fill_i8(s.context, qa, 0, m * k, 1, 13, 0));
    VOLT_OK(backend.fill_i8(s.context, qb, 0, n * k, 1, 14, 0));
    Buffer* sums = s.room(m * n * 4);
    VOLT_OK(backend.matmul_i8(s.context, Form::abt, dense(qa, m, k), dense(qb, n, k),
                              dense(sums, m, n)));
    CHECK(digest_of(s, sums, m * n * 4) ==
          "5102ace8625c1adb0056a66232a5d3699f8bc8cc50410835e8af45bd0e3bf3f7");
  }
}

}  // namespace volt::kernels::test
