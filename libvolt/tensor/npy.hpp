// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "libvolt/base/hex.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::tensor {

/// Reads the header of a NumPy file (format 1.0, 2.0 and 3.0; numpy.lib.format) whose bytes are
/// `file`. Row-major little-endian arrays only; the file must be exactly as long as the header
/// says. Throws Error (usage) naming `origin`, with the NumPy line that would mend it as hint.
Located parse_npy(ByteView file, std::string_view origin);

/// The header of a version 1.0 file, padded to a multiple of 64 bytes.
std::string npy_header(const Description& description);

}  // namespace volt::tensor
