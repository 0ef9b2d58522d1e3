// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "libvolt/device/device.hpp"

namespace volt::run {

/// What a finetune makes, in the order of its receipt, and what the worker calls it.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 3> finetune_outputs{
    {{"states.bin", "out"},
     {"adapter_config.json", "config"},
     {"adapter_model.safetensors", "adapter"}}};

/// Whether a worker is handed an input: of a model's folder only what is read.
bool worker_reads(std::string_view input);

/// No GPU has run the operations of language models yet: `auto` is the CPU, and a GPU must be named.
device::Wanted for_language_models(device::Wanted wanted);

}  // namespace volt::run
