// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/module.hpp"
#include "libvolt/device/gpus.hpp"

/// The GPUs of this machine as NVML lists them for programs and as CUDA shows them to volt, whose
/// own workloads compute on those.
namespace volt::device {

struct CudaGpu {
  Gpu gpu;
  bool listed = true;             ///< by NVML; if not, how much of its memory is in use is unknown
  std::optional<unsigned> place;  ///< kernels::Options::device; none: CUDA does not show it
  unsigned multiprocessors = 0;
};

struct CudaList {
  std::vector<CudaGpu> gpus;  ///< by index
  std::string absent;         ///< why none has a place; empty where one has
};

/// Joins both by UUID. What only CUDA shows gets the indices after NVML's, in CUDA's order.
CudaList cuda_gpus(const kernels::Cuda& cuda, const GpuList& listed);

/// The one called "cuda:N" or by its UUID; it has a place. Throws Error (no_device), which says
/// what is missing: CUDA in this volt, a driver, any GPU or this one.
const CudaGpu& find(const CudaList& list, std::string_view name);

/// Those that have a place, the one with the least memory in use first.
std::vector<CudaGpu> by_use(const CudaList& list);

}  // namespace volt::device
