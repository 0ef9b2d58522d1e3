// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
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

using Named = std::pair<std::string, Description>;

/// All that comes before the data of a safetensors file, a multiple of 8 bytes long. `tensors` is
/// put into the order in which their elements must follow, one behind another, which is the order
/// of the safetensors library: by dtype, wide ones first, then by name. Readers of models want
/// {"format", "pt"} in `metadata`. Throws Error (usage): a name twice, a size that
/// parse_safetensors() would refuse.
std::string safetensors_header(std::vector<Named>& tensors,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace volt::tensor
