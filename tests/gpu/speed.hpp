// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "bench/measured.hpp"
#include "device.hpp"
#include "parity.hpp"
#include "peers.hpp"

/// How fast the rows of a backend are, each in one run with its peer: warmed up, sample by sample
/// in turn, on the same random data, with more sets of operands than the last cache holds.
namespace volt::gpu {

/// Products in 10^12 operations a second, a multiplication and an addition being two. `quick` has
/// tiny shapes, which say nothing about speed.
std::vector<bench::Row> measure_products(Device& device, Peers& peers, Extent extent);

/// What is bound by memory, in bytes read and written a second, beside the driver's own copy.
std::vector<bench::Row> measure_streams(Device& device, Peers& peers, Extent extent);

}  // namespace volt::gpu
