// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::tensor {

/// The tensors of a safetensors file whose bytes are `file`, in the order of their offsets. The
/// format's own rules are enforced: header of at most 16 MB, names unique, data without holes or
/// overlaps and ending with the file. Throws Error (usage) naming `origin`.
std::vector<std::pair<std::string, Located>> parse_safetensors(ByteView file,
                                                               std::string_view origin);

}  // namespace volt::tensor
