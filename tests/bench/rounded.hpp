// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <utility>

#include "libvolt/device/device.hpp"

/// What volt does not have, and its numbers are compared with: products whose operands were
/// rounded.
namespace volt::bench {

/// What becomes of both operands before f32x multiplies them. Int8 is the contract's (section 4),
/// one scale for a part of an operand; its products are fp32 chains instead of integer sums, which
/// differ by less than 1e-6.
enum class Rounding {
  none,
  bf16,
  lines,        ///< int8 with one scale for a whole line along k
  blocks,       ///< int8 as i8x has it but for the rotation: 1 x 128, and 128 x 128 of the matrix
  butterflies,  ///< the same, rotated without the signs
};

/// Takes the place of the CPU's matmul_f32x for products with frozen matrices: those of forms `ab`
/// and `abt` whose B does not lie in the buffer of what is trained. One at a time.
class Rounded {
 public:
  /// The table for a Device; its products need a Rounded. With `none` it is the CPU's own.
  static const kernels::Backend& backend(Rounding rounding);

  Rounded(Rounding rounding, device::Device& device, const kernels::Buffer* trained);
  ~Rounded() { present = nullptr; }
  Rounded(const Rounded&) = delete;
  Rounded& operator=(const Rounded&) = delete;

 private:
  kernels::Status product(kernels::Context* arena, kernels::Form form, const kernels::Matrix& a,
                          const kernels::Matrix& b, const kernels::Matrix& c);
  /// A rounded copy, with zeros up to whole groups along the columns, and along the rows of a
  /// frozen matrix; with `lines`, `rows` x `cols` elements have one scale.
  device::Buffer copy(const kernels::Matrix& x, bool frozen, std::uint64_t rows,
                      std::uint64_t cols);

  static inline Rounded* present = nullptr;  ///< a table of functions has no room for it
  const Rounding rounding_;
  device::Device& device_;
  const kernels::Buffer* const trained_;
  std::map<std::pair<const kernels::Buffer*, kernels::Form>, device::Buffer> frozen_;
};

}  // namespace volt::bench
