// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "backend.hpp"

namespace volt::kernels {

/// The CPU backend once per instruction set that this CPU has, slowest first; cpu() is the last of
/// them under the name "cpu". For tests and measurements: all give the same bits.
std::span<const Backend> cpu_variants();

}  // namespace volt::kernels
