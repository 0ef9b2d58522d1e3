// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA).

#include "network_loops_cpu.hpp"
#include "attention_cpu.hpp"
#include "elements_cpu.hpp"
#include "norms_cpu.hpp"
#include "probabilities_cpu.hpp"
#include "rotations_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

const NetworkLoops network_loops = {
    rms_norm,
    rms_norm_backward,
    layer_norm,
    layer_norm_backward,
    rope,
    cross_entropy,
    rotate,
    expand_nf4,
    quantise_rotated,
    rms_norm_weights,
    layer_norm_weights,
    sum_rows,
    scatter_rows,
    activate,
    activate_backward,
    add,
    scale,
    dropout,
    keep_largest,
    adam,
    square_lanes,
    lanes_sum,
    likeliest,
    probabilities,
    attend,
    attend_queries,
    attend_keys,
    limbs_of_rows,
    pack_across,
    pack_down,
    attend_limbs,
    attend_queries_limbs,
    attend_keys_limbs,
};

}  // namespace VOLT_ISA
}  // namespace volt::kernels
