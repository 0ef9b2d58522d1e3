// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "libvolt/base/event.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/workload/matmul.hpp"

namespace volt::proof {

/// Freivalds' check of an integer product over the Goldilocks field, p = 2^64 - 2^32 + 1: for two
/// vectors r of independent entries drawn from `seed`, A (B r) = C r. Correct products always pass;
/// a wrong one passes with a chance below 2^-127 (R. Freivalds, 1977). `a`, `b` are int8 as stored,
/// `c` int32. Returns a row of C that is wrong, or nothing. For A and B the vectors are cut into
/// int8 digits, so that the work is two int8 products with 16 columns and a weighing of C, on any
/// device.
std::optional<std::uint64_t> freivalds(const workload::Geometry& geometry, ByteView a, ByteView b,
                                       ByteView c, const Digest& seed, device::Device& device,
                                       Sink& sink, std::stop_token stop);

/// Multiply-adds that the check takes, against geometry.multiply_adds() of the product.
double freivalds_multiply_adds(const workload::Geometry& geometry);

}  // namespace volt::proof
