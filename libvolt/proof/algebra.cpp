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
constexpr std::uint64_t vectors = 2;
constexpr std::uint64_t digits = 8;                // to the base of 256, from -128 to 127
constexpr std::uint64_t width = vectors * digits;  // of the narrow products

/// A field element for each vector, canonical.
using Pair = std::array<std::uint64_t, vectors>;
using Pairs = std::vector<Pair>;

/// For any value below 2^96.
std::uint64_t reduced(Wide value) {
  constexpr std::uint64_t fold = 0xffff'ffff;
  Wide sum = static_cast<std::uint64_t>(value) + (value >> 64) * fold;
  while (sum >> 64 != 0) sum = static_cast<std::uint64_t>(sum) + (sum >> 64) * fold;
  const auto rest = static_cast<std::uint64_t>(sum);
  return rest >= p ? rest - p : rest;
}

std::uint64_t times(std::uint64_t element, std::uint64_t factor) {
  const Wide product = static_cast<Wide>(element) * factor;
  const Wide high = product >> 64;  // 2^64 = 2^32 - 1 twice: once here, once in `reduced`
  return reduced(static_cast<std::uint64_t>(product) + high * 0xffff'ffff);
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

/// Rows of digits of elements times 1, 256, ... `weights` of them each.
std::vector<std::int8_t> digits_of(const Pairs& elements, std::uint64_t weights) {
  std::vector<std::int8_t> rows(elements.size() * weights * width);
  std::int8_t* to = rows.data();
  for (Pair element : elements) {
    for (std::uint64_t w = 0; w < weights; ++w) {
      for (auto& e : element) {
        put_digits(e, to);
        e = times(e, 256);
        to += digits;
      }
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

/// A stored matrix of int8, or of int32 as limbs.
struct Stored {
  kernels::Form form;
  ByteView elements;
  std::uint64_t rows, cols;
};

/// The product of a matrix or, if the form says so, of its transpose, and rows of digits.
Pairs product(device::Device& device, const Stored& m, const std::vector<std::int8_t>& rows,
              Pair offset) {
  constexpr std::uint64_t most = std::uint64_t{1} << 16;  // int32 holds such a sum
  const std::uint64_t summed = rows.size() / width;
  Pairs result(m.form == kernels::Form::atb ? m.cols : m.rows, offset);
  for (std::uint64_t first = 0; first < summed; first += most) {
    add(result, workload::narrow_product(device, m.form, m.elements, m.rows, m.cols, first,
                                         std::min(most, summed - first), rows, width));
  }
  return result;
}

Pairs product(device::Device& device, bool transposed, ByteView matrix, std::uint64_t rows,
              std::uint64_t cols, const Pairs& r) {
  const kernels::Form form = transposed ? kernels::Form::atb : kernels::Form::ab;
  return product(device, {form, matrix, rows, cols}, digits_of(r, 1), {});
}

/// The product of a rows x cols int32 matrix and the vectors.
Pairs product_i32(device::Device& device, ByteView matrix, std::uint64_t rows, std::uint64_t cols,
                  const Pairs& r) {
  Pair offset = {};  // what the limbs leave out: 0x808080 of every element
  for (const auto& element : r) {
    for (std::uint64_t v = 0; v < vectors; ++v) {
      offset[v] = reduced(static_cast<Wide>(offset[v]) + times(element[v], 0x808080));
    }
  }
  return product(device, {kernels::Form::limbs, matrix, rows, 4 * cols}, digits_of(r, 4), offset);
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
