// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/rope.hpp"

#include <array>
#include <bit>
#include <compare>
#include <cstddef>

namespace volt::lm {
namespace {

__extension__ using Wide = unsigned __int128;

/// A number of 0 or more and below 2^64, in units of 2^-256. Sums and differences are exact,
/// products cut off below the last unit; what leaves the range is the caller's mistake.
struct Fixed {
  std::array<std::uint64_t, 5> words{};  // the first is before the point

  auto operator<=>(const Fixed&) const = default;
};

constexpr Fixed one{{1, 0, 0, 0, 0}};
constexpr Fixed turns_per_radian{{0, 0x28be60db9391054a, 0x7f09d5f47d4d3770, 0x36d8a5664f10e410,
                                  0x7f9458eaf7aef158}};  // 1 / (2 pi)

Fixed operator+(Fixed a, const Fixed& b) {
  Wide carry = 0;
  for (std::size_t i = a.words.size(); i-- > 0; carry >>= 64) {
    carry += Wide{a.words[i]} + b.words[i];
    a.words[i] = static_cast<std::uint64_t>(carry);
  }
  return a;
}

Fixed operator-(Fixed a, const Fixed& b) {
  bool borrow = false;
  for (std::size_t i = a.words.size(); i-- > 0;) {
    const Wide less = Wide{b.words[i]} + borrow;
    borrow = a.words[i] < less;
    a.words[i] -= static_cast<std::uint64_t>(less);
  }
  return a;
}

Fixed operator*(const Fixed& a, const Fixed& b) {
  std::array<std::uint64_t, 10> product{};  // two words before the point
  for (std::size_t i = a.words.size(); i-- > 0;) {
    std::uint64_t carry = 0;
    for (std::size_t j = b.words.size(); j-- > 0;) {
      const Wide sum = Wide{a.words[i]} * b.words[j] + product[i + j + 1] + carry;
      product[i + j + 1] = static_cast<std::uint64_t>(sum);
      carry = static_cast<std::uint64_t>(sum >> 64);
    }
    product[i] = carry;
  }
  return {{product[1], product[2], product[3], product[4], product[5]}};
}

/// The largest number below 2 for which `holds`, which is true from 0 up to some number: found bit
/// by bit. Slower than Newton's method by far, and there is nothing to prove.
template <class Holds>
Fixed largest(Holds holds) {
  Fixed found{};
  for (int bit = 256; bit >= 0; --bit) {
    const auto word = 4 - static_cast<std::size_t>(bit) / 64;
    found.words[word] |= std::uint64_t{1} << bit % 64;
    if (!holds(found)) found.words[word] ^= std::uint64_t{1} << bit % 64;
  }
  return found;
}

/// For a <= b.
Fixed operator/(const Fixed& a, const Fixed& b) {
  return largest([&](const Fixed& quotient) { return quotient * b <= a; });
}

Fixed power(Fixed base, std::uint64_t exponent) {
  Fixed result = one;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result = result * base;
    base = base * base;
  }
  return result;
}

/// `value` itself; it is positive, below 2^63, and no bit of it lies below 2^-256.
Fixed exactly(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  constexpr std::uint64_t hidden = std::uint64_t{1} << 52;
  const std::uint64_t mantissa = (bits & (hidden - 1)) | hidden;
  // IEEE 754: value = mantissa * 2^(exponent - 1075).
  const auto place = static_cast<std::size_t>(bits >> 52) - 1075 + 256;
  const Wide placed = Wide{mantissa} << place % 64;
  Fixed result{};
  result.words[4 - place / 64] = static_cast<std::uint64_t>(placed);
  if (place / 64 < 4) result.words[3 - place / 64] = static_cast<std::uint64_t>(placed >> 64);
  return result;
}

Fixed scaled(const Fixed& turn, const Rope& rope) {
  if (rope.scaling == Rope::Scaling::none) return turn;
  const Fixed interpolated = turn / exactly(rope.factor);
  if (rope.scaling == Rope::Scaling::linear) return interpolated;

  const Fixed low = exactly(rope.low_freq_factor), high = exactly(rope.high_freq_factor);
  const Fixed in_context = turn * Fixed{{rope.original_context, 0, 0, 0, 0}};
  if (in_context >= high) return turn;
  if (in_context <= low) return interpolated;
  const Fixed smooth = (in_context - low) / (high - low);
  return (one - smooth) * interpolated + smooth * turn;
}

}  // namespace

std::vector<std::uint64_t> turns(const Rope& rope, std::uint64_t head_width) {
  const std::uint64_t pairs = head_width / 2;
  const Fixed theta = exactly(rope.theta);
  // theta^(-2/head_width), of which each pair has one power more.
  const Fixed step = largest([&](const Fixed& x) { return power(x, pairs) * theta <= one; });
  std::vector<std::uint64_t> result;
  result.reserve(pairs);
  Fixed turn = turns_per_radian;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const Fixed exact = scaled(turn, rope);
    result.push_back(exact.words[1] + (exact.words[2] >> 63));
    turn = turn * step;
  }
  return result;
}

}  // namespace volt::lm
