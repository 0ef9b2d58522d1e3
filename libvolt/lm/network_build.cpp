// SPDX-License-Identifier: Apache-2.0

// A network's parameters on the device, and memory for all that it keeps of a forward pass.

#include <algorithm>

#include "libvolt/lm/network_state.hpp"

namespace volt::lm {
namespace {

using kernels::Backend;
using Role = TrainedTensor::Role;

}  // namespace

Network::Network(device::Device& device, const Architecture& architecture, const Weights& weights,
                 Trained& trained, Profile profile, float scale, const Capacity& capacity,
                 Format format)
    : state_(std::make_unique<State>(device, architecture, weights, trained, profile, scale,
                                     capacity, format)) {
  state_->build();
}

Network::~Network() = default;

Place Network::State::place(Slot slot) {
  Place result;
  if (const auto* tensor = trained.find(slot, Role::whole)) {
    result.value = trained.value(*tensor);
    result.gradient = trained.gradient(*tensor);
    return result;
  }
  const Weight& weight = weights.at(slot);
  const auto& shape = weight.description.shape;
  if (shape.size() == 2) {
    result.table = frozen(slot, of_tables(profile));
    return result;
  }
  result.own = make_tensor(device, 1, shape[0]);
  const auto values = floats(weight);
  device.call(&Backend::upload, result.own.buffer.get(), std::uint64_t{0}, values.data(),
              std::uint64_t{4 * values.size()});
  result.value = result.own.matrix;
  return result;
}

std::shared_ptr<const FrozenMatrix> Network::State::frozen(const Slot& slot, Profile as) {
  return std::make_shared<FrozenMatrix>(bands, weights.at(slot), format_of(slot.part, format), as,
                                        a.conv1d && is_linear(slot.part));
}

Linear Network::State::linear(std::uint64_t layer, Part part, std::uint64_t out, std::uint64_t in,
                              bool bias) {
  const Slot slot{layer, part, false}, bias_slot{layer, part, true};
  std::shared_ptr<const FrozenMatrix> weight;
  // A tied head is the embedding itself where that is kept as it is multiplied.
  if (part == Part::token_embedding && !rotates(profile)) {
    weight = tokens_table.table;
  } else if (trained.find(slot, Role::whole) == nullptr) {
    weight = frozen(slot, profile);
  }
  std::vector<float> values;
  if (bias && trained.find(bias_slot, Role::whole) == nullptr)
    values = floats(weights.at(bias_slot));
  const Linear::Base base = {slot,          out,    in, bias, a.conv1d && is_linear(part),
                             next_stream++, profile};
  const bool is_head = !is_linear(part);
  return {device,
          base,
          std::move(weight),
          values,
          trained,
          scale,
          is_head ? logit_rows(a, capacity.rows) : capacity.rows};
}

void Network::State::build() {
  tokens_table = place({0, Part::token_embedding, false});
  if (!a.rope) positions_table = place({0, Part::position_embedding, false});
  for (std::uint64_t i = 0; i < a.layers; ++i) layers.push_back(build_layer(i));
  final_norm = place({0, Part::final_norm, false});
  if (a.layer_norm) final_norm_bias = place({0, Part::final_norm, true});
  head.emplace(
      linear(0, a.tied ? Part::token_embedding : Part::head, a.vocabulary, a.width, false));
  if (a.rope) {
    const auto values = lm::turns(*a.rope, a.head_width);
    turns = device.create(8 * values.size());
    device.call(&Backend::upload, turns.get(), std::uint64_t{0}, values.data(),
                std::uint64_t{8 * values.size()});
  }
  for (std::uint64_t i = 0; i < std::max<std::uint64_t>(capacity.kept_layers, 1); ++i) {
    activations.push_back(build_activations());
  }
  for (std::uint64_t i = 0; i < (learns() ? a.layers + 1 : 1); ++i) xs.push_back(keep(a.width));
  told = keep(3);
  const std::uint64_t chunk = logit_rows(a, capacity.rows);
  final_kept = make_tensor(device, chunk, 2);
  final_normed = make_tensor(device, chunk, a.width);
  work = device.create(4 * work_elements(a, capacity));
  if (!learns()) return;
  final_dnormed = make_tensor(device, chunk, a.width);
  dx = keep(a.width);
}

Network::State::Layer Network::State::build_layer(std::uint64_t index) {
  Layer layer;
  const auto named = [&](Part part, bool bias = false) { return place({index, part, bias}); };
  layer.attention_norm = named(Part::attention_norm);
  layer.mlp_norm = named(Part::mlp_norm);
  if (a.layer_norm) {
    layer.attention_norm_bias = named(Part::attention_norm, true);
    layer.mlp_norm_bias = named(Part::mlp_norm, true);
  }
  if (a.qk_norm) {
    layer.query_norm = named(Part::query_norm);
    layer.key_norm = named(Part::key_norm);
  }
  const std::uint64_t q = a.query_width(), kv = a.kv_width(), w = a.width, f = a.ff_width;
  if (a.conv1d) {
    layer.qkv.push_back(linear(index, Part::qkv, a.qkv_width(), w, a.qkv_bias));
  } else {
    layer.qkv.push_back(linear(index, Part::query, q, w, a.qkv_bias));
    layer.qkv.push_back(linear(index, Part::key, kv, w, a.qkv_bias));
    layer.qkv.push_back(linear(index, Part::value, kv, w, a.qkv_bias));
  }
  layer.output.emplace(linear(index, Part::output, w, q, a.output_bias));
  if (a.gated) layer.gate.emplace(linear(index, Part::gate, f, w, a.mlp_bias));
  layer.up.emplace(linear(index, Part::up, f, w, a.mlp_bias));
  layer.down.emplace(linear(index, Part::down, w, f, a.mlp_bias));
  return layer;
}

Network::State::Activations Network::State::build_activations() {
  Activations of;
  for (Tensor* tensor : {&of.normed1, &of.mid, &of.normed2}) *tensor = keep(a.width);
  of.kept1 = keep(2);
  of.kept2 = keep(2);
  of.qkv_raw = keep(a.qkv_width());
  if (a.qk_norm) {
    of.qkv_turned = keep(a.qkv_width());
    of.kept_q = keep(a.heads);
    of.kept_k = keep(a.kv_heads);
  }
  of.attended = keep(a.query_width());
  of.m = keep(a.heads);
  of.l = keep(a.heads);
  if (a.gated) of.gate_out = keep(a.ff_width);
  of.up_out = keep(a.ff_width);
  of.acted = keep(a.ff_width);
  return of;
}

}  // namespace volt::lm
