// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/adapter.hpp"

#include <map>
#include <set>

#include "libvolt/lm/adapter_names.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

using doc::Value;
using Role = TrainedTensor::Role;

/// What makes it FlyLoRA's; the members that only LoRA has are left out.
Value flylora_config(const Lora& lora, const std::string& base, Value::Array targets, bool conv1d) {
  return Value::Object{{"peft_type", "FLYLORA"},
                       {"task_type", "CAUSAL_LM"},
                       {"base_model_name_or_path", base},
                       {"r", lora.rank},
                       {"k", lora.fly->active},
                       {"lora_alpha", double{lora.alpha}},
                       {"balance", double{lora.fly->balance}},
                       {"target_modules", std::move(targets)},
                       {"fan_in_fan_out", conv1d},
                       {"inference_mode", true}};
}

}  // namespace

std::map<Slot, std::string> modules_of(const Architecture& architecture) {
  constexpr std::string_view weight = ".weight";
  std::map<Slot, std::string> modules;
  for (const auto& parameter : parameters_of(architecture)) {
    if (!parameter.name.ends_with(weight)) continue;
    modules.emplace(parameter.slot,
                    parameter.name.substr(0, parameter.name.size() - weight.size()));
  }
  return modules;
}

std::string_view name_of(TrainedTensor::Role role) {
  if (role == Role::fly_d) return ".lora_d";
  return role == Role::lora_b ? ".lora_B" : ".lora_A";
}

Value adapter_config(const Architecture& architecture, const Lora& lora, double dropout,
                     const std::string& base) {
  const auto modules = modules_of(architecture);
  std::set<std::string> targets;
  for (const auto& tensor : lora_tensors(architecture, lora)) {
    // From the part of the layer on, for GPT-2 has two called c_proj: PEFT compares the ends.
    const std::string& module = modules.at(tensor.slot);
    targets.insert(module.substr(module.rfind('.', module.rfind('.') - 1) + 1));
  }
  if (lora.fly) {
    return flylora_config(lora, base, {targets.begin(), targets.end()}, architecture.conv1d);
  }
  return Value::Object{{"peft_type", "LORA"},
                       {"task_type", "CAUSAL_LM"},
                       {"base_model_name_or_path", base},
                       {"r", lora.rank},
                       {"lora_alpha", double{lora.alpha}},
                       {"lora_dropout", dropout},
                       {"target_modules", Value::Array(targets.begin(), targets.end())},
                       {"fan_in_fan_out", architecture.conv1d},
                       {"bias", "none"},
                       {"use_rslora", false},
                       {"use_dora", false},
                       {"init_lora_weights", true},
                       {"rank_pattern", Value::Object{}},
                       {"alpha_pattern", Value::Object{}},
                       {"modules_to_save", nullptr},
                       {"inference_mode", true}};
}

Bytes adapter_file(const Architecture& architecture, const Trained& trained) {
  const auto modules = modules_of(architecture);
  std::vector<tensor::Named> named;
  std::map<std::string, const TrainedTensor*> by_name;
  for (const auto& tensor : trained.tensors()) {
    if (tensor.role == Role::whole) continue;
    const std::string name = std::string(adapter_prefix) + modules.at(tensor.slot) +
                             std::string(name_of(tensor.role)) + ".weight";
    named.push_back({name, {tensor::Dtype::f32, {tensor.rows, tensor.cols}}});
    by_name.emplace(name, &tensor);
  }
  const std::string header = tensor::safetensors_header(named, {{"format", "pt"}});
  Bytes file(header.begin(), header.end());
  for (const auto& [name, description] : named) {
    const auto values = trained.get(*by_name.at(name));
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(values.data());
    file.insert(file.end(), bytes, bytes + 4 * values.size());
  }
  return file;
}

}  // namespace volt::lm
