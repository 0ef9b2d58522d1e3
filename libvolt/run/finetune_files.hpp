// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "libvolt/device/device.hpp"

namespace volt::run {

/// Whether a worker is handed an input: of a model's folder only what is read.
bool worker_reads(std::string_view input);

/// No GPU has run the operations of language models yet: `auto` is the CPU, and a GPU must be
/// named.
device::Wanted for_language_models(device::Wanted wanted);

}  // namespace volt::run
