// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/algebra.hpp"

#include <cstring>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"

namespace volt::proof {
namespace {

__extension__ using Wide = __int128;
using Vector = std::vector<std::uint64_t>;  ///< canonical field elements, below p

constexpr std::uint64_t p = 0xffff'ffff'0000'0001;

/// Sums of up to 2^31 products of a 32-bit integer and a field element stay within a Wide, so that
/// each sum is reduced once.
std::uint64_t reduced(Wide sum) {
  const Wide rest = sum % static_cast<Wide>(p);
  return static_cast<std::uint64_t>(rest < 0 ? rest + static_cast<Wide>(p) : rest);
}

template <class Integer>
Integer element(ByteView matrix, std::uint64_t index) {
  Integer value;
  std::memcpy(&value, matrix.data() + index * sizeof value, sizeof value);
  return value;
}

/// The product of a stored rows x cols matrix, or of its transpose, and a vector.
template <class Integer>
Vector times(ByteView matrix, std::uint64_t rows, std::uint64_t cols, bool transposed,
             const Vector& vector) {
  std::vector<Wide> sums(transposed ? cols : rows);
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) {
      const Wide value = element<Integer>(matrix, r * cols + c);
      if (transposed) {
        sums[c] += value * static_cast<Wide>(vector[r]);
      } else {
        sums[r] += value * static_cast<Wide>(vector[c]);
      }
    }
  }
  Vector result;
  result.reserve(sums.size());
  for (const Wide sum : sums) result.push_back(reduced(sum));
  return result;
}

}  // namespace

std::optional<std::uint64_t> freivalds(const workload::Geometry& geometry, ByteView a, ByteView b,
                                       ByteView c, const Digest& seed, Sink& sink,
                                       std::stop_token stop) {
  const auto& g = geometry;
  constexpr std::uint64_t vectors = 2;
  if (g.units() == 0) return std::nullopt;  // there may be 2^60 empty rows
  crypto::Expansion expansion(seed);
  for (std::uint64_t v = 0; v < vectors; ++v) {
    sink.send(Progress{"algebra", v, vectors, "vectors"});
    Vector r(g.n);
    for (auto& entry : r) entry = expansion.below(p);
    const Vector br = g.transpose_b ? times<std::int8_t>(b, g.n, g.k, true, r)
                                    : times<std::int8_t>(b, g.k, g.n, false, r);
    const Vector abr = g.transpose_a ? times<std::int8_t>(a, g.k, g.m, true, br)
                                     : times<std::int8_t>(a, g.m, g.k, false, br);
    const Vector cr = times<std::int32_t>(c, g.m, g.n, false, r);
    for (std::uint64_t i = 0; i < g.m; ++i) {
      if (abr[i] != cr[i]) return i;
    }
    if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
  }
  sink.send(Progress{"algebra", vectors, vectors, "vectors"});
  return std::nullopt;
}

double freivalds_multiply_adds(const workload::Geometry& g) {
  const auto m = static_cast<double>(g.m), n = static_cast<double>(g.n),
             k = static_cast<double>(g.k);
  return 2 * (n * k + m * k + m * n);
}

}  // namespace volt::proof
