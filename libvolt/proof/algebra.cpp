// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/algebra.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"

namespace volt::proof {
namespace {

__extension__ using Wide = unsigned __int128;
__extension__ using SignedWide = __int128;

constexpr std::uint64_t p = 0xffff'ffff'0000'0001;  // 2^64 = 2^32 - 1 modulo p
constexpr std::uint64_t vectors = kernels::weight_vectors;
constexpr std::uint64_t digits = 8;                // to the base of 256, from -128 to 127
constexpr std::uint64_t width = vectors * digits;  // of the narrow products

/// A field element for each vector, canonical.
using Pair = std::array<std::uint64_t, vectors>;
using Pairs = std::vector<Pair>;

std::uint64_t reduced(Wide value) {
  constexpr std::uint64_t fold = 0xffff'ffff;
  while (value >> 64 != 0) value = static_cast<std::uint64_t>(value) + (value >> 64) * fold;
  const auto rest = static_cast<std::uint64_t>(value);
  return rest >= p ? rest - p : rest;
}

/// Digits of an integer that is `element` modulo p. Those of a number above 0x7f7f... would need a
/// ninth: there it is element - p, whose ninth is lost with 2^64.
void put_digits(std::uint64_t element, std::int8_t* to) {
  constexpr std::uint64_t most = 0x7f7f'7f7f'7f7f'7f7f;
  constexpr std::uint64_t halves = 0x8080'8080'8080'8080;  // 128 in each digit's place
  const std::uint64_t number = element <= most ? element : element - p;
  const std::uint64_t bytes = (number + halves) ^ halves;
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(to, &bytes, sizeof bytes);
}

/// A row of digits for each pair.
std::vector<std::int8_t> digits_of(const Pairs& elements) {
  std::vector<std::int8_t> rows(elements.size() * width);
  std::int8_t* to = rows.data();
  for (const Pair& element : elements) {
    for (const auto e : element) {
      put_digits(e, to);
      to += digits;
    }
  }
  return rows;
}

/// Adds rows of sums, one for each digit, to the elements that they belong to.
void add(Pairs& to, const std::vector<std::int32_t>& sums) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    for (std::uint64_t v = 0; v < vectors; ++v) {
      const std::int32_t* const row = sums.data() + i * width + v * digits;
      const auto four = [&](std::uint64_t d) {
        return row[d] + (std::int64_t{row[d + 1]} << 8) + (std::int64_t{row[d + 2]} << 16) +
               (std::int64_t{row[d + 3]} << 24);
      };
      const SignedWide value = four(0) + static_cast<SignedWide>(four(4)) * (std::int64_t{1} << 32);
      // Above 2^87, so that nothing falls below 0.
      to[i][v] = reduced((static_cast<Wide>(p) << 24) + static_cast<Wide>(value) + to[i][v]);
    }
  }
}

/// The product of a stored int8 matrix, rows x cols, or of its transpose, and the vectors.
Pairs product(device::Device& device, bool transposed, ByteView matrix, std::uint64_t rows,
              std::uint64_t cols, const Pairs& r) {
  constexpr std::uint64_t most = std::uint64_t{1} << 16;  // int32 holds such a sum
  const kernels::Form form = transposed ? kernels::Form::atb : kernels::Form::ab;
  const std::vector<std::int8_t> d = digits_of(r);
  Pairs result(transposed ? cols : rows);
  for (std::uint64_t first = 0; first < r.size(); first += most) {
    add(result,
        workload::narrow_product(device, form, matrix, rows, cols, first,
                                 std::min<std::uint64_t>(most, r.size() - first), d, width));
  }
  return result;
}

/// The same of an int32 matrix.
Pairs product_i32(device::Device& device, ByteView matrix, std::uint64_t rows, std::uint64_t cols,
                  const Pairs& r) {
  const auto sums = workload::weighted_sums(device, matrix, rows, cols, r);
  Pairs result(rows);
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t v = 0; v < vectors; ++v) {
      const auto& [low, high] = sums[i][v];
      const Wide element = reduced(static_cast<Wide>(high) << 64 | low);
      // Of a negative sum 2^128 is to be taken off, and -2^128 = 2^32 modulo p.
      result[i][v] = reduced(element + (static_cast<Wide>(high >> 63) << 32));
    }
  }
  return result;
}

}  // namespace

std::optional<std::uint64_t> freivalds(const workload::Geometry& geometry, ByteView a, ByteView b,
                                       ByteView c, const Digest& seed, device::Device& device,
                                       Sink& sink, std::stop_token stop) {
  const auto& g = geometry;
  if (g.units() == 0) return std::nullopt;  // there may be 2^60 empty rows
  std::uint64_t done = 0;
  const auto step = [&] {
    if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
    sink.send(Progress{"algebra", done++, 3, "products"});
  };
  crypto::Expansion expansion(seed);
  Pairs r(g.n);
  for (std::uint64_t v = 0; v < vectors; ++v) {
    for (auto& entry : r) entry[v] = expansion.below(p);
  }
  step();
  const Pairs br = g.transpose_b ? product(device, true, b, g.n, g.k, r)
                                 : product(device, false, b, g.k, g.n, r);
  step();
  const Pairs abr = g.transpose_a ? product(device, true, a, g.k, g.m, br)
                                  : product(device, false, a, g.m, g.k, br);
  step();
  const Pairs cr = product_i32(device, c, g.m, g.n, r);
  step();
  for (std::uint64_t i = 0; i < g.m; ++i) {
    if (abr[i] != cr[i]) return i;
  }
  return std::nullopt;
}

double freivalds_multiply_adds(const workload::Geometry& g) {
  const auto m = static_cast<double>(g.m), n = static_cast<double>(g.n),
             k = static_cast<double>(g.k);
  return 2 * (n * k + m * k + m * n);
}

}  // namespace volt::proof
