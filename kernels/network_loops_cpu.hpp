// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "network_loops.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

extern const NetworkLoops network_loops;

}  // namespace VOLT_ISA
}  // namespace volt::kernels
