// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

/// The NVIDIA GPUs of this machine, as NVML (the library of nvidia-smi) tells. It is loaded when
/// first asked, and stays.
namespace volt::device {

struct Gpu {
  /// As NVML and nvidia-smi count: by PCI bus, though NVIDIA promises no order. CUDA counts so only
  /// under CUDA_DEVICE_ORDER=PCI_BUS_ID. `uuid` is what stays the same everywhere.
  unsigned index = 0;
  unsigned minor = 0;  ///< the N of /dev/nvidiaN; often, but not always, the index
  std::string name;    ///< "NVIDIA H200"
  std::string uuid;    ///< "GPU-8f3b2c1d-..."
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_used_bytes = 0;  ///< by anyone, when it was listed
};

struct GpuList {
  std::vector<Gpu> gpus;  ///< that a program can use as a whole
  std::string driver;     ///< "550.54.15"; empty when not known
  /// Why there is none: "no NVIDIA driver (libnvidia-ml.so.1 is not there)"; or what was left out:
  /// "GPU 1 does not answer: GPU is lost". Never empty when `gpus` is.
  std::string absent;
};

/// Those that answer, are not divided by MIG and have their device node in `folder`: a
/// container may have fewer nodes than the driver has GPUs. A machine without any is no error.
GpuList gpus(const std::string& folder = "/dev");

/// Those that a job with `count` of them gets: the ones named, in that order ("cuda:1,3",
/// "GPU-uuid,GPU-uuid"), or the ones with the least memory in use ("auto"). Throws Error: usage
/// when `wanted` is malformed, names one twice, or more or fewer than `count`; no_device.
std::vector<Gpu> choose(const GpuList& list, std::string_view wanted, unsigned count);

/// Device nodes that a program needs to use these GPUs: their own, and those common to all
/// GPUs that exist.
std::vector<std::string> nodes(const std::vector<Gpu>& gpus, const std::string& folder = "/dev");

/// How busy a GPU is; NaN for what it does not tell.
struct GpuSample {
  unsigned index = 0;
  double utilisation = std::numeric_limits<double>::quiet_NaN();  ///< 0 to 1
  double memory_used_bytes = std::numeric_limits<double>::quiet_NaN();
  double power_w = std::numeric_limits<double>::quiet_NaN();
  double temperature_c = std::numeric_limits<double>::quiet_NaN();
};

/// One for each GPU of a list that `gpus` gave; cheap enough for once a second.
std::vector<GpuSample> sample(const std::vector<Gpu>& gpus);

}  // namespace volt::device
