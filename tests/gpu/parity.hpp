// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comparison.hpp"

/// The cases: every row of kernels::Backend and of its Network, over random shapes and the values
/// and sizes at which kernels go wrong.
namespace volt::gpu {

enum class Extent {
  quick,  ///< seconds on two cores: for the test of this program
  full,   ///< 1,000 random shapes of each product, large ones, every float through every function
};

void compare_memory(Comparison& comparison, Extent extent);    ///< create to copy
void compare_products(Comparison& comparison, Extent extent);  ///< products, weighted sums
void compare_elements(Comparison& comparison, Extent extent);  ///< fill, quantise, map
void compare_digests(Comparison& comparison, Extent extent);   ///< page_digests
void compare_network(Comparison& comparison, Extent extent);   ///< kernels::Network
void compare_native(Comparison& comparison, Extent extent);    ///< what is near, not equal
void compare_far(Comparison& comparison);                      ///< beyond 4 GiB: not quick
void compare_refusals(Comparison& comparison);  ///< arguments that must be refused, and how

}  // namespace volt::gpu
