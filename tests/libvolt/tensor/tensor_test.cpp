// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/tensor.hpp"

#include <doctest/doctest.h>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/merkle.hpp"

namespace volt::tensor {
namespace {

std::string error_of(const Description& description) {
  try {
    check(description, "a.npy");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    return error.message();
  }
  return "";
}

TEST_CASE("every dtype has a name that leads back to it, and a size") {
  std::uint64_t total = 0;
  for (int i = 0; i <= static_cast<int>(Dtype::f64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    CHECK(dtype_of(name_of(dtype)) == dtype);
    total += size_of(dtype);
  }
  CHECK(total == 1 + 2 * (1 + 2 + 4 + 8) + 2 + 2 + 4 + 8);
  CHECK(name_of(Dtype::boolean) == "bool");
  CHECK(name_of(Dtype::bf16) == "bf16");
  CHECK(!dtype_of("F32"));
  CHECK(!dtype_of(""));
}

TEST_CASE("a description counts its elements and bytes, one element without extents") {
  CHECK(Description{Dtype::f32, {512, 48}}.bytes() == 512 * 48 * 4);
  CHECK(Description{Dtype::f64, {}}.elements() == 1);
  CHECK(Description{Dtype::f64, {3, 0, 5}}.bytes() == 0);
}

TEST_CASE("a description reads as text, and as the data of its leaf") {
  CHECK(to_text({Dtype::f32, {512, 48}}) == "f32 [512, 48]");
  CHECK(to_text({Dtype::i8, {}}) == "i8 []");
  CHECK(pages_header({Dtype::f32, {512, 48}}) == "volt-pages/1 f32 512 48");
  CHECK(pages_header({Dtype::boolean, {}}) == "volt-pages/1 bool");
}

TEST_CASE("more than 8 extents or 2^62 bytes are refused") {
  constexpr std::uint64_t one = 1;
  CHECK(error_of({Dtype::i8, {1, 1, 1, 1, 1, 1, 1, 1}}).empty());
  CHECK(error_of({Dtype::i8, {1, 1, 1, 1, 1, 1, 1, 1, 1}}) ==
        "a.npy: array has 9 dimensions, more than 8");
  CHECK(error_of({Dtype::i8, {one << 62}}).empty());
  CHECK(error_of({Dtype::f64, {one << 59}}).empty());
  CHECK(error_of({Dtype::f64, {(one << 59) + 1}}) ==
        "a.npy: shape of f64 [576460752303423489] takes more than 2^62 bytes");
  CHECK(!error_of({Dtype::i8, {one << 32, one << 32}}).empty());
  CHECK(!error_of({Dtype::u16, {3, ~std::uint64_t{0}}}).empty());
}

TEST_CASE("an extent of 0 does not hide others that overflow") {
  constexpr std::uint64_t one = 1;
  CHECK(error_of({Dtype::f32, {0, 1000}}).empty());
  CHECK(!error_of({Dtype::i8, {0, one << 40, one << 40}}).empty());
}

TEST_CASE("pages are counted with the short last one") {
  CHECK(page_count(0) == 0);
  CHECK(page_count(1) == 1);
  CHECK(page_count(4096) == 1);
  CHECK(page_count(4097) == 2);
  CHECK(page_count(~std::uint64_t{0}) == std::uint64_t{1} << 52);
}

TEST_CASE("the root of the pages has the header as its first leaf") {
  const Description description{Dtype::f32, {2}};
  const Bytes page(8, 0);
  const auto header = crypto::leaf_digest(as_bytes("volt-pages/1 f32 2"));
  const auto leaf = crypto::leaf_digest(page);
  CHECK(pages_root(description, {leaf}) == crypto::node_digest(header, leaf));
  CHECK(pages_root(description, {}) == header);
  CHECK(pages_root({Dtype::i32, {2}}, {leaf}) != pages_root(description, {leaf}));
}

}  // namespace
}  // namespace volt::tensor
