// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/finite.hpp"

#include <doctest/doctest.h>

namespace volt::tensor {
namespace {

struct Format {
  Dtype dtype;
  std::uint64_t infinity, largest, bits;
};
const Format formats[] = {{Dtype::f16, 0x7c00, 0x7bff, 16},
                          {Dtype::bf16, 0x7f80, 0x7f7f, 16},
                          {Dtype::f32, 0x7f800000, 0x7f7fffff, 32},
                          {Dtype::f64, 0x7ff0000000000000, 0x7fefffffffffffff, 64}};

/// `count` elements 0, but `word` at `index`, at an odd address.
class Elements {
 public:
  Elements(const Format& format, std::size_t count, std::size_t index, std::uint64_t word)
      : bytes_(count * format.bits / 8 + 1) {
    for (std::size_t i = 0; i < format.bits / 8; ++i)
      bytes_[1 + index * format.bits / 8 + i] = static_cast<std::uint8_t>(word >> (8 * i));
  }
  ByteView view() const { return ByteView(bytes_).subspan(1); }

 private:
  Bytes bytes_;
};

TEST_CASE("the first infinity or NaN of either sign is found, wherever it lies") {
  for (const Format& format : formats) {
    const std::uint64_t sign = std::uint64_t{1} << (format.bits - 1);
    for (const std::size_t index : {0, 1, 1023, 1024, 2500})
      for (const std::uint64_t word :
           {format.infinity, format.infinity | 1, ~std::uint64_t{0}, format.infinity | sign}) {
        CAPTURE(name_of(format.dtype));
        CHECK(first_non_finite(format.dtype, Elements(format, 2501, index, word).view()) == index);
      }
  }
}

TEST_CASE("the largest finite numbers are finite, as are no numbers at all") {
  for (const Format& format : formats) {
    const std::uint64_t sign = std::uint64_t{1} << (format.bits - 1);
    CHECK(!first_non_finite(format.dtype, Elements(format, 3, 1, format.largest).view()));
    CHECK(!first_non_finite(format.dtype, Elements(format, 3, 2, format.largest | sign).view()));
    CHECK(!first_non_finite(format.dtype, {}));
  }
}

TEST_CASE("integers have none, and a part of an element is not read") {
  const Bytes bytes(7, 0xff);
  CHECK(!first_non_finite(Dtype::i32, bytes));
  CHECK(!first_non_finite(Dtype::u8, bytes));
  CHECK(!first_non_finite(Dtype::f64, bytes));
  CHECK(first_non_finite(Dtype::f32, bytes) == 0);
}

}  // namespace
}  // namespace volt::tensor
