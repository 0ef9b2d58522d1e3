// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ieee.hpp"
#include "network_loops.hpp"

/// Attention, compiled once per instruction set. The contracts are those of the rows of
/// NetworkLoops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void attend(const Attention<Checked>& job, const SampleHead& sample, std::uint64_t head,
            std::uint64_t row, std::uint64_t rows, float* scores, std::uint64_t stride);
void attend_queries(const AttentionBackward<Checked>& job, const SampleHead& sample,
                    const Stripe& stripe, std::uint64_t row, std::uint64_t rows);
void attend_keys(const AttentionBackward<Checked>& job, const SampleHead& sample,
                 const Stripe& stripe, std::uint64_t key, std::uint64_t rows);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
