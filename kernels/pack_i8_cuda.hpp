// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "matmul_cuda.hpp"

/// Operands of int8 products as tensor cores want them: a row for each lane (row of A, column of
/// B), k along it, rows at multiples of 16 bytes. Operands that lie otherwise are packed.
namespace volt::kernels {

/// 256 lanes are addressed by 32 bits.
constexpr std::uint64_t max_packed_k = (std::uint64_t{1} << 24) - 256;

struct PackedOperand {
  const std::int8_t* data;
  std::uint64_t lanes, stride;
};

inline namespace VOLT_ISA {

/// An operand in panels, each of as many lanes as there is scratch memory for; one panel if it lies
/// well as it is. k is at most `max_packed_k`.
class Panels {
 public:
  /// `k_is_rows`: the operand's rows go along k, its columns are lanes.
  Panels(const View<const std::int8_t>& operand, bool k_is_rows);

  std::uint64_t lanes() const { return lanes_; }
  std::uint64_t row_bytes() const { return (k_ + 15) / 16 * 16; }  ///< of a packed lane
  std::uint64_t wanted_rows() const { return packed_ ? lanes_ : 0; }

  /// Packs into `rows` rows at `at` or fewer, at least one if any are wanted; returns how many.
  std::uint64_t take(std::byte* at, std::uint64_t rows);

  std::uint64_t each() const { return each_; }  ///< lanes of a panel but the last
  /// The panel that begins with lane `first`, which pack() puts in the place of the one before.
  PackedOperand panel(std::uint64_t first) const;
  Status pack(CudaStream stream, std::uint64_t first) const;

 private:
  View<const std::int8_t> operand_;
  bool k_is_rows_;
  bool packed_;
  std::uint64_t lanes_, k_, each_;
  std::int8_t* scratch_ = nullptr;
};

}  // namespace VOLT_ISA
}  // namespace volt::kernels
