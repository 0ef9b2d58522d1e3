// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "libvolt/base/hex.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::tensor {

/// The index of the first element that is NaN or infinite; none for integers and booleans. `bytes`
/// are little-endian elements of `dtype`, aligned or not; a part of an element at the end is not
/// looked at.
std::optional<std::uint64_t> first_non_finite(Dtype dtype, ByteView bytes);

}  // namespace volt::tensor
