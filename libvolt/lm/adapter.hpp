// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/trained.hpp"

/// A LoRA adapter as the PEFT library keeps it: adapter_config.json and adapter_model.safetensors.
/// FlyLoRA's is kept alike, but its peft_type is "FLYLORA", which PEFT refuses, for as LoRA it
/// would compute something else.
namespace volt::lm {

inline constexpr std::string_view adapter_config_name = "adapter_config.json";
inline constexpr std::string_view adapter_model_name = "adapter_model.safetensors";

/// The adapter_config.json. `base` is what PEFT loads the base model by: a folder, or a name.
/// FlyLoRA's has `k`, the ranks that a token uses, and `balance`.
doc::Value adapter_config(const Architecture& architecture, const Lora& lora, double dropout,
                          const std::string& base);

/// The adapter_model.safetensors: fp32, under PEFT's names
/// ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"): A [rank, in], FlyLoRA's with
/// its zeros, B [out, rank], and of FlyLoRA lora_d [1, rank].
Bytes adapter_file(const Architecture& architecture, const Trained& trained);

/// What the two files hold.
struct Adapter {
  Lora lora;                           ///< targets: the parts that some layer adapts
  float scale = 1;                     ///< of a Network: alpha / rank, or with rsLoRA / sqrt(rank)
  std::vector<TrainedTensor> tensors;  ///< as lora_tensors() has them, of the matrices adapted
  std::vector<Weight> weights;         ///< of each tensor; views of the file
};

/// Reads an adapter of `architecture` that volt wrote, or PEFT: its tensors are f32, bf16 or f16,
/// and their names may lack "base_model.model." and the family's prefix, or name the adapter
/// "default". Which matrices are adapted, the tensors tell. Whatever else could change a result
/// must be as volt has it. Reads all values. Throws Error: not_found (no such file), usage naming
/// the file and the key or the tensor that is not understood, missing, one too many, of another
/// shape than r and the model say, of another dtype, there twice, or not finite.
Adapter read_adapter(const Files& files, const Architecture& architecture);

/// What a Network adapts its base by: the tensors with their values, for inference.
Trained make_trained(device::Device& device, const Adapter& adapter);

}  // namespace volt::lm
