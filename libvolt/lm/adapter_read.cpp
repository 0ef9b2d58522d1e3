// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/lm/adapter.hpp"
#include "libvolt/lm/adapter_names.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::lm {
namespace {

using doc::Fields;
using doc::Value;
using tensor::Dtype;

constexpr std::int64_t max_rank = 65'536;

/// Members that change no result of an adapter whose tensors are at hand: where they are, how they
/// were found and first filled, and what they were trained with.
constexpr std::array<std::string_view, 18> of_no_concern{
    "auto_mapping",      "base_model_name_or_path",
    "eva_config",        "exclude_modules",
    "fan_in_fan_out",    "inference_mode",
    "layers_pattern",    "layers_to_transform",
    "loftq_config",      "lora_dropout",
    "megatron_core",     "peft_version",
    "qalora_group_size", "revision",
    "runtime_config",    "target_modules",
    "task_type",         "corda_config"};

[[noreturn]] void fail(const std::string& what, const std::string& hint = {},
                       Exit code = Exit::usage) {
  throw Error(code, what, hint);
}

ByteView file_of(const Files& files, std::string_view name) {
  const auto found = files.find(std::string(name));
  if (found == files.end())
    fail("the adapter has no file " + std::string(name),
         "PEFT writes both files by save_pretrained", Exit::not_found);
  return found->second;
}

/// What PEFT writes for what is not used.
bool is_neutral(const Value& value) {
  if (value.get_if<std::nullptr_t>()) return true;
  if (const auto* truth = value.get_if<bool>()) return !*truth;
  if (const auto* list = value.get_if<Value::Array>()) return list->empty();
  const auto* table = value.get_if<Value::Object>();
  return table != nullptr && table->empty();
}

/// PEFT fills A and B in many ways, of which some take from the base what they put there.
void check_beginning(Fields& fields, const Value& value) {
  constexpr std::array<std::string_view, 3> of_adapter_alone{"gaussian", "orthogonal", "eva"};
  if (value.get_if<bool>() || value.get_if<std::nullptr_t>()) return;
  const auto* word = value.get_if<std::string>();
  if (word != nullptr && std::ranges::find(of_adapter_alone, *word) != of_adapter_alone.end())
    return;
  fields.fail("init_lora_weights", value,
              "is " + (word ? "\"" + printable(*word) + "\"" : std::string(value.kind())) +
                  ", which may have changed the base",
              "PEFT converts such an adapter: path_initial_model_for_weight_conversion");
}

void refuse_unknown(Fields& fields, const Value::Object& members,
                    const std::vector<std::string_view>& known) {
  for (const auto& [key, value] : members) {
    if (key == "init_lora_weights") {
      check_beginning(fields, value);
    } else if (key == "bias") {
      const auto* word = value.get_if<std::string>();
      if (word == nullptr || *word != "none")
        fields.fail(key, value, "is not \"none\": an adapter of biases is not supported");
    } else if (std::ranges::find(known, key) == known.end() &&
               std::ranges::find(of_no_concern, key) == of_no_concern.end() && !is_neutral(value)) {
      fields.fail(printable(key), value, "is not known here, and not off: it may change a result");
    }
  }
}

std::uint64_t count(Fields& fields, std::string_view key, std::uint64_t most) {
  return static_cast<std::uint64_t>(fields.integer(key, 1, static_cast<std::int64_t>(most)));
}

Adapter parse_config(std::string_view text) {
  const doc::Source source{std::string(adapter_config_name), Exit::usage};
  const Value config = doc::parse_json(text, adapter_config_name);
  Fields fields(config, source);
  constexpr std::array<std::string_view, 2> types{"LORA", "FLYLORA"};
  const bool fly = fields.choice("peft_type", types) == "FLYLORA";
  Adapter adapter;
  adapter.lora.rank = count(fields, "r", max_rank);
  adapter.lora.alpha = static_cast<float>(fields.number("lora_alpha", 1e-6, 1e9));
  adapter.scale = adapter.lora.scale();
  std::vector<std::string_view> known{"peft_type", "r", "lora_alpha"};
  if (fly) {
    adapter.lora.fly = FlyLora{count(fields, "k", adapter.lora.rank),
                               static_cast<float>(fields.number("balance", 0, 1))};
    known.insert(known.end(), {"k", "balance"});
  } else {
    known.emplace_back("use_rslora");
    if (fields.has("use_rslora") && fields.boolean("use_rslora"))
      adapter.scale = adapter.lora.alpha / std::sqrt(static_cast<float>(adapter.lora.rank));
  }
  refuse_unknown(fields, *config.get_if<Value::Object>(), known);
  return adapter;
}

/// "model.layers.0.self_attn.q_proj.lora_A", however it is written.
std::string plain_name(std::string_view name, std::string_view family_prefix) {
  for (const std::string_view end : {".weight", ".default"}) {
    if (name.ends_with(end)) name.remove_suffix(end.size());
  }
  if (name.starts_with(adapter_prefix)) name.remove_prefix(adapter_prefix.size());
  std::string plain(name);
  return plain.starts_with(family_prefix) ? plain : std::string(family_prefix) + plain;
}

std::string in_file(std::string_view name) {
  return std::string(adapter_model_name) + ": tensor \"" + printable(name) + "\"";
}

std::map<std::string, Weight> find_tensors(const Files& files, const Architecture& architecture) {
  const ByteView file = file_of(files, adapter_model_name);
  std::map<std::string, Weight> found;
  for (auto& [name, located] : tensor::parse_safetensors(file, adapter_model_name)) {
    const ByteView bytes = file.subspan(located.offset, located.description.bytes());
    const Dtype dtype = located.description.dtype;
    if (dtype != Dtype::f32 && dtype != Dtype::bf16 && dtype != Dtype::f16)
      fail(in_file(name) + " is " + std::string(name_of(dtype)) + ", not f32, bf16 or f16");
    const auto [at, fresh] = found.try_emplace(
        plain_name(name, prefix_of(architecture.family)),
        Weight{name, std::string(adapter_model_name), std::move(located.description), bytes});
    if (!fresh) fail(in_file(name) + " is there as \"" + printable(at->second.name) + "\" too");
  }
  return found;
}

void check(const Weight& weight, const TrainedTensor& tensor) {
  const std::vector<std::uint64_t> shape{tensor.rows, tensor.cols};
  if (weight.description.shape != shape)
    fail(in_file(weight.name) + " is " + tensor::to_text(weight.description) +
             ", but r and the model make it [" + std::to_string(tensor.rows) + ", " +
             std::to_string(tensor.cols) + "]",
         "the adapter is of another model, or turned");
  refuse_non_finite(weight);
}

void take(Adapter& adapter, std::map<std::string, Weight>& found, const TrainedTensor& tensor,
          const std::string& name) {
  const auto at = found.find(name);
  if (at == found.end())
    fail(std::string(adapter_model_name) + " lacks the tensor \"" + name + ".weight\"");
  check(at->second, tensor);
  adapter.tensors.push_back(tensor);
  adapter.weights.push_back(std::move(at->second));
  found.erase(at);
  auto& targets = adapter.lora.targets;
  if (std::ranges::find(targets, tensor.slot.part) == targets.end())
    targets.push_back(tensor.slot.part);
}

}  // namespace

Adapter read_adapter(const Files& files, const Architecture& architecture) {
  Adapter adapter = parse_config(as_text(file_of(files, adapter_config_name)));
  auto found = find_tensors(files, architecture);
  const auto modules = modules_of(architecture);
  const auto all = lora_tensors(architecture, adapter.lora);
  for (auto first = all.begin(); first != all.end();) {  // all tensors of a matrix, or none
    const auto end = std::find_if(first, all.end(),
                                  [&](const auto& tensor) { return tensor.slot != first->slot; });
    const auto name = [&](const TrainedTensor& tensor) {
      return modules.at(tensor.slot) + std::string(name_of(tensor.role));
    };
    const bool adapted =
        std::any_of(first, end, [&](const auto& tensor) { return found.contains(name(tensor)); });
    if (adapted)
      std::for_each(first, end,
                    [&](const auto& tensor) { take(adapter, found, tensor, name(tensor)); });
    first = end;
  }
  if (!found.empty())
    fail(in_file(found.begin()->second.name) + " belongs to no matrix that can be adapted",
         "the adapter is of another model, or trains more than the matrices of layers");
  if (adapter.tensors.empty()) fail(std::string(adapter_model_name) + " adapts no matrix");
  return adapter;
}

Trained make_trained(device::Device& device, const Adapter& adapter) {
  Trained trained(device, adapter.tensors, adapter.lora.fly, Trained::Use::inference);
  for (std::size_t i = 0; i < adapter.weights.size(); ++i) {
    trained.set(trained.tensors()[i], floats(adapter.weights[i]));
  }
  return trained;
}

}  // namespace volt::lm
