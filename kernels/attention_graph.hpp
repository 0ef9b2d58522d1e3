// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dnn_graph.hpp"
#include "libraries.hpp"

namespace volt::kernels {

/// The tensors of attention that a plan is run with.
enum class AttentionTensor : std::int64_t {
  q = 1,
  k,
  v,
  out,
  statistics,
  dout,
  dq,
  dk,
  dv,
  lengths,
  key_lengths,  ///< the same
  scale,        ///< by value, as the next three
  missing,      ///< the score of what no sample has
  unseen,       ///< the score of what is not seen
  one,
  dots,  ///< sum(dout out), fp32 [samples, heads, rows]; of backward
  sums,  ///< of dq, fp32 [samples, heads, rows, width]; of backward that adds up there
};

/// Attention of one shape, compiled.
struct AttentionPlan {
  DnnPlan plan;
  bool sums;  ///< dq is added up by many, in any order
};

/// Of backward, one that gives the same bits each time, as long as that takes not too much memory.
/// None: cuDNN does not have it on this GPU.
std::optional<AttentionPlan> plan_attention(const Cudnn& library, const DnnTarget& target,
                                            const AttentionShape& shape);

}  // namespace volt::kernels
