// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/base/hex.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/lm/trained.hpp"

/// A LoRA adapter as the PEFT library keeps it: adapter_config.json and adapter_model.safetensors.
namespace volt::lm {

/// The adapter_config.json. `base` is what PEFT loads the base model by: a folder, or a name.
doc::Value adapter_config(const Architecture& architecture, const Lora& lora, double dropout,
                          const std::string& base);

/// The adapter_model.safetensors: fp32, under PEFT's names
/// ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight").
Bytes adapter_file(const Architecture& architecture, const Trained& trained);

}  // namespace volt::lm
