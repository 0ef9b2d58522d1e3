// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "network.hpp"

namespace volt::kernels {

struct Context;

/// The operations of network.hpp without checks. Nothing has an extent of 0. False: out of memory.
struct NetworkEngine {
  void (*rms_norm)(Context&, const RmsNorm<Checked>&);
  void (*rms_norm_backward)(Context&, const RmsNormBackward<Checked>&);
  void (*layer_norm)(Context&, const LayerNorm<Checked>&);
  void (*layer_norm_backward)(Context&, const LayerNormBackward<Checked>&);
  void (*rope)(Context&, const Rope<Checked>&);
  bool (*attention)(Context&, const Attention<Checked>&);
  bool (*attention_backward)(Context&, const AttentionBackward<Checked>&);
  void (*activate)(Context&, const Activate<Checked>&);
  void (*activate_backward)(Context&, const ActivateBackward<Checked>&);
  void (*cross_entropy)(Context&, const CrossEntropy<Checked>&);
  bool (*draw)(Context&, const Draw<Checked>&);
  void (*add)(Context&, const Add<Checked>&);
  void (*sum_rows)(Context&, const SumRows<Checked>&);
  void (*narrow)(Context&, const Narrow<Checked>&);
  void (*scale)(Context&, const Scale<Checked>&);
  void (*zero)(Context&, const Zero<Checked>&);
  void (*scatter_rows)(Context&, const ScatterRows<Checked>&);
  void (*dropout)(Context&, const Dropout<Checked>&);
  void (*keep_largest)(Context&, const KeepLargest<Checked>&);
  void (*rotate)(Context&, const Rotate<Checked>&);
  void (*quantise_rotated)(Context&, const QuantiseRotated<Checked>&);
  void (*expand_nf4)(Context&, const ExpandNf4<Checked>&);
  void (*adam)(Context&, const Adam<Checked>&);
  float (*square_sum)(Context&, const View<const float>&);
};

extern const NetworkEngine network_reference;
/// The checked table, for every backend whose engine has one of these.
extern const Network network_operations;

}  // namespace volt::kernels
