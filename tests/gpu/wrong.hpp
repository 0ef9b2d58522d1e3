// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/backend.hpp"

namespace volt::gpu {

/// Makes one row of `backend` wrong: the last bit of the last element of what it leaves is flipped.
/// For the test that a comparison finds it; once in a process. False when there is no such row.
bool make_wrong(const std::string& row, kernels::Backend& backend);

}  // namespace volt::gpu
