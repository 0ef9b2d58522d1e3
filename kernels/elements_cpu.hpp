// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "network_loops.hpp"

/// What networks do element by element, or with elements of one column, compiled once per
/// instruction set. The contracts are those of the rows of NetworkLoops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void activate(const Activate<Checked>& job, const Block& block);
void activate_backward(const ActivateBackward<Checked>& job, const Block& block);
void add(const Add<Checked>& job, const Block& block);
void sum_rows(const SumRows<Checked>& job, const Block& block);
void scale(const Scale<Checked>& job, const Block& block);
void scatter_rows(const ScatterRows<Checked>& job, const Block& block);
void dropout(const Dropout<Checked>& job, const Block& block);
void expand_nf4(const ExpandNf4<Checked>& job, const Block& block);
void keep_largest(const KeepLargest<Checked>& job, const Block& block);
void adam(const Adam<Checked>& job, const Block& block);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
