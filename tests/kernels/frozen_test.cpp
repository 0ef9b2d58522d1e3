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

TEST_CASE("the elementary functions of fixed arguments have the digests that they always had") {
  struct Frozen {
    Function function;
    std::uint64_t in_bytes, out_bytes;
    std::string digest;
  };
  const Frozen frozen[] = {
      {Function::exp, 4, 4, "cc2742ed4fef0bbfe97454c4100c552a38468a4dd03c91e4a863019a7c9b851f"},
      {Function::exp2, 4, 4, "d55599e85c62625cd859e8b3895a3d426a959e9fd69dbeb0597fb42110adca5c"},
      {Function::log, 4, 4, "12c594c92dfe425adf565e605b452b2e9689f357520e25c40a37747ca81253bb"},
      {Function::log1p, 4, 4, "c74c0793e775625ef37462e9a1ff8db905fdac97828584793030a92d9045a43a"},
      {Function::tanh, 4, 4, "e48daa99145bba41095b761e253cdcd811f6d9629b9d9180eab314d6273bff5e"},
      {Function::sigmoid, 4, 4, "81fbc65c6c5ea958802b5335da9188eb582b5895f82608540d4036462224091b"},
      {Function::erf, 4, 4, "acd5b853ad4d9a531c1f737e315df5710210723ef82128c1a40f9d1350e3d177"},
      {Function::rsqrt, 4, 4, "81a941986b820ac3a00beeea4f03ef1ec707f928faf4c97ec77193b58fbbaac7"},
      {Function::sin_turns, 8, 4,
       "e79795a93916afc3374e385f12bde194da97826e85efdb15ce4b6e478eef851c"},
      {Function::cos_turns, 8, 4,
       "92de8f4d1e9f3f2917f36a4581240d87fe15ded56253dc0e377e05ef71c06d30"},
      {Function::to_bf16, 4, 2, "dee18f1abf74573a646ae32206e7a3b10dea36fa7ceb119dd2b9e81339a332cc"},
      {Function::to_fp16, 4, 2, "9340b7c6e5cc7abbc5c6a7db0362c9abac7a07b1f8de9a6fe49caba795de7c0d"},
      {Function::from_bf16, 2, 4,
       "59221472415157740e4b1735d1fb4b07788135e5ac784bf72c01f47dea0c6e34"},
      {Function::from_fp16, 2, 4,
       "bf571be3399fa239038a5b6748a101061e2e46a441dc9cc63ee3cd56d04ab1c8"},
  };
  // From 0 in equal steps through the whole of the type.
  constexpr std::uint64_t count = 65'536;
  std::vector<std::uint16_t> halves;
  std::vector<std::uint32_t> floats;
  std::vector<std::uint64_t> phases;
  for (std::uint64_t i = 0; i < count; ++i) {
    halves.push_back(static_cast<std::uint16_t>(i));
    floats.push_back(static_cast<std::uint32_t>(i * 0x1'0001));
    phases.push_back(i * 0x1'0001'0001'0001);
  }
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    Buffer* const x[] = {s.put(halves), s.put(floats), s.put(phases)};
    Buffer* const y = s.room(count * 4);
    for (const Frozen& f : frozen) {
      CAPTURE(static_cast<int>(f.function));
      VOLT_OK(backend.map(s.context, f.function, x[f.in_bytes / 4], 0, y, 0, count));
      CHECK(digest_of(s, y, count * f.out_bytes) == f.digest);
    }
  }
}

}  // namespace volt::kernels::test
