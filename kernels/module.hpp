// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend.hpp"

/// What a backend in a shared module exports, and how it is entered. The module is loaded when a
/// GPU is first asked for; nothing else knows CUDA.
namespace volt::kernels {

struct DeviceInfo {
  char name[96];  ///< "NVIDIA H200"
  char uuid[48];  ///< "GPU-8f3b2c1d-..."
  std::uint64_t memory_bytes;
  std::uint32_t capability;  ///< 90 is 9.0
  std::uint32_t multiprocessors;
};

struct Module {
  const char* build;  ///< equals build_id() of the one who loads it, or the rest is not to be read
  const Backend* backend;
  std::uint32_t driver;   ///< CUDA version that the driver serves, 13000 is 13.0; 0: no driver
  std::uint32_t runtime;  ///< CUDA version that it was built with
  /// The GPUs that CUDA shows, in its order. At most `capacity` are written; `count` says how many
  /// there are. No driver and no GPU are ok, with a count of 0.
  Status (*devices)(DeviceInfo* devices, std::uint32_t capacity, std::uint32_t* count);
};

/// The one symbol: `extern "C" const Module* volt_kernels_module()`. Never null, never throws.
using ModuleEntry = const Module* (*)();
constexpr const char* module_entry = "volt_kernels_module";
constexpr const char* module_file = "libvolt_cuda.so";

/// Names the layout of Backend and the arithmetic behind it: a digest of the kernels' sources, made
/// by the build.
const char* build_id();

/// CUDA as this program finds it.
struct Cuda {
  const Backend* backend = nullptr;  ///< null when it cannot be used: `absent` says why
  std::vector<DeviceInfo> devices;   ///< Options::device is a place in this list
  std::uint32_t driver = 0;          ///< as in Module; 0 without a module
  std::uint32_t runtime = 0;
  /// A sentence: no module (this volt was built without CUDA), a module that does not load or is of
  /// another build, no driver or one that is too old, no GPU. Empty when there is a backend.
  std::string absent;
};

/// Looked for once, when first called: the module of the folder that this program lies in, else of
/// ../lib/volt or ../kernels (a build tree) from there. It stays loaded.
const Cuda& cuda();

}  // namespace volt::kernels
