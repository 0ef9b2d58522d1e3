// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/tensor/tensor.hpp"

/// The matmul workload: C[m,n] = A * B. Its units are the elements of C in row-major order; a
/// unit's result depends on one row of A and one column of B alone. Runner and verifier call the
/// same code.
namespace volt::workload {

/// The product's extents, and how its operands are stored.
struct Geometry {
  std::uint64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  std::string profile;

  tensor::Dtype input_dtype() const;
  tensor::Description output() const;
  std::uint64_t units() const { return m * n; }
  double multiply_adds() const;

  /// Where elements lie in the stored operands: the first element, and the step to the next along
  /// k, of row `i` of A and of column `j` of B.
  struct Line {
    std::uint64_t first, step;
  };
  Line row_of_a(std::uint64_t i) const;
  Line column_of_b(std::uint64_t j) const;
};

/// Throws Error (code) when the operands do not fit each other or the profile.
Geometry geometry(const schema::Matmul& job, const tensor::Description& a,
                  const tensor::Description& b, Exit code = Exit::usage);

/// What the job's seeded operand is; for any other input it follows from the file.
tensor::Description seeded_description(const schema::Matmul& job, const schema::Seeded& seeded);

/// The elements of a seeded operand, row-major. `operand` is "a" or "b": each has a stream of its
/// own, so that equal seeds give different matrices.
Bytes generate(const schema::Seeded& seeded, tensor::Dtype dtype, std::string_view operand,
               device::Device& device);

/// A product over operands in memory, which must outlive it.
class Product {
 public:
  Product(Geometry geometry, ByteView a, ByteView b, device::Device& device);

  /// Computes C[row, row + rows) x [col, col + cols) into `out`, row-major, 4 bytes an element. Any
  /// cut into tiles gives the same bits.
  void tile(std::uint64_t row, std::uint64_t rows, std::uint64_t col, std::uint64_t cols,
            std::uint8_t* out);

  /// Computes single elements, 4 bytes each into `out`: the diagonal of the product of their rows
  /// of A and their columns of B.
  void elements(std::span<const std::uint64_t> units, std::uint8_t* out);

  /// Rows of C that make about a twentieth of a second of work on a fast device of this kind, so
  /// that progress, checkpoints and cancelling stay fine.
  std::uint64_t rows_per_step() const;

 private:
  kernels::Matrix part_of_a(std::uint64_t row, std::uint64_t rows) const;
  kernels::Matrix part_of_b(std::uint64_t col, std::uint64_t cols) const;
  /// An operand as int8 with its scales.
  struct Int8 {
    device::Buffer quants, scales;
  };
  kernels::Quantised quantise(const kernels::Matrix& x, bool k_is_rows, Int8& memory);
  /// The buffers have room for the rows and the columns of `units`.
  void diagonal(std::span<const std::uint64_t> units, const device::Buffer& rows_of_a,
                const device::Buffer& columns_of_b, std::uint8_t* out);
  void tile_i8x(std::uint64_t row, std::uint64_t rows, std::uint64_t col, std::uint64_t cols,
                const kernels::Matrix& c);

  Geometry geometry_;
  kernels::Form form_;
  device::Device& device_;
  device::Buffer a_, b_;
  Int8 b_int8_;  ///< all of B for i8x, kept from one tile of full width to the next
};

/// M * D over part of the summed extent, row-major: for `form` ab elements [first, first + count),
/// at most 131,071, of each row of the stored int8 matrix M, rows x cols, by the same rows of D,
/// which is dense and has `width` columns; for atb of each column.
std::vector<std::int32_t> narrow_product(device::Device& device, kernels::Form form, ByteView m,
                                         std::uint64_t rows, std::uint64_t cols,
                                         std::uint64_t first, std::uint64_t count,
                                         std::span<const std::int8_t> d, std::uint64_t width);

/// The low and the high 64 bits of an integer of 128, two's complement.
struct WideSum {
  std::uint64_t low, high;
};

/// Of each row of the stored int32 matrix M, rows x cols, the sums of its elements weighted by each
/// of two vectors; `weights` has a pair for each column, of which there are at most 2^32.
std::vector<std::array<WideSum, 2>> weighted_sums(
    device::Device& device, ByteView m, std::uint64_t rows, std::uint64_t cols,
    std::span<const std::array<std::uint64_t, 2>> weights);

/// C as a binary portable graymap: rintf, clamped to 0..255, NaN black.
std::string graymap(const Geometry& geometry, ByteView c);

/// The same in characters, at most `columns` wide, for a terminal.
std::string sketch(const Geometry& geometry, ByteView c, std::uint64_t columns);

}  // namespace volt::workload
