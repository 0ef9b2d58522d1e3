// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "libvolt/base/hex.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/trained.hpp"

/// The model.safetensors of a whole model, under the names that Hugging Face has for its family.
namespace volt::lm {

/// Takes the next bytes of a file; may throw.
using Put = std::function<void(ByteView)>;

/// A model of which every parameter is trained, in fp32.
void write_trained(const Architecture& architecture, const Trained& trained, const Put& put);

/// A base with its LoRA adapter merged in. An adapted matrix becomes W + (scale B) A: each element
/// a chain of fmaf from W's, over the ranks ascending (numerics contract, section 3), rounded to
/// what the base has it in. All other parameters are copied. One matrix at a time is in memory.
void write_merged(device::Device& device, const Architecture& architecture, const Weights& base,
                  const Trained& trained, float scale, const Put& put);

}  // namespace volt::lm
