// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "libvolt/lm/trained.hpp"

/// What the reader and the writer of adapters share; nobody else includes it.
namespace volt::lm {

inline constexpr std::string_view adapter_prefix = "base_model.model.";

/// "model.layers.0.self_attn.q_proj" of every matrix and norm.
std::map<Slot, std::string> modules_of(const Architecture& architecture);

/// What follows the module in the name of one of an adapter's tensors: ".lora_A".
std::string_view name_of(TrainedTensor::Role role);

}  // namespace volt::lm
