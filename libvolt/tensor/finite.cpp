// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/finite.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace volt::tensor {
namespace {

/// In IEEE 754's formats, and bf16, an element is finite unless all bits of its exponent are set.
template <class Word>
std::optional<std::uint64_t> first_with(Word exponent, ByteView bytes) {
  constexpr std::size_t block = 1024;
  const std::size_t count = bytes.size() / sizeof(Word);
  const auto bad = [&](std::size_t i) -> Word {
    Word word;
    std::memcpy(&word, bytes.data() + i * sizeof word, sizeof word);
    return (word & exponent) == exponent;
  };
  for (std::size_t begin = 0; begin < count; begin += block) {
    const std::size_t end = std::min(count, begin + block);
    // No branch, and no wider or narrower type: the compiler then uses vectors.
    Word any = 0;
    for (std::size_t i = begin; i < end; ++i) any = static_cast<Word>(any | bad(i));
    for (std::size_t i = begin; any != 0 && i < end; ++i)
      if (bad(i) != 0) return i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> first_non_finite(Dtype dtype, ByteView bytes) {
  switch (dtype) {
    case Dtype::f16:
      return first_with(std::uint16_t{0x7c00}, bytes);
    case Dtype::bf16:
      return first_with(std::uint16_t{0x7f80}, bytes);
    case Dtype::f32:
      return first_with(std::uint32_t{0x7f800000}, bytes);
    case Dtype::f64:
      return first_with(std::uint64_t{0x7ff0000000000000}, bytes);
    default:
      return std::nullopt;
  }
}

}  // namespace volt::tensor
