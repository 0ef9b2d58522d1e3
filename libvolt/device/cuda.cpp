// SPDX-License-Identifier: Apache-2.0
#include "libvolt/device/cuda.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::device {
namespace {

template <std::size_t size>
std::string text(const char (&bytes)[size]) {
  return printable({bytes, ::strnlen(bytes, size)}, size);
}

}  // namespace

CudaList cuda_gpus(const kernels::Cuda& cuda, const GpuList& listed) {
  CudaList list;
  list.absent = cuda.absent;
  for (const Gpu& gpu : listed.gpus) list.gpus.push_back({gpu, true, {}, 0});
  if (cuda.backend == nullptr) return list;
  for (unsigned place = 0; place < cuda.devices.size(); ++place) {
    const auto& info = cuda.devices[place];
    auto one = std::find_if(list.gpus.begin(), list.gpus.end(),
                            [&](const CudaGpu& gpu) { return gpu.gpu.uuid == text(info.uuid); });
    if (one == list.gpus.end()) {
      Gpu gpu;
      gpu.index = list.gpus.empty() ? 0 : list.gpus.back().gpu.index + 1;
      gpu.name = text(info.name);
      gpu.uuid = text(info.uuid);
      gpu.memory_bytes = info.memory_bytes;
      one = list.gpus.insert(one, {gpu, false, {}, 0});
    }
    one->place = place;
    one->multiprocessors = info.multiprocessors;
  }
  return list;
}

const CudaGpu& find(const CudaList& list, std::string_view name) {
  const std::string what = "no device " + printable(name);
  if (!list.absent.empty()) {
    throw Error(Exit::no_device, what + ": " + list.absent, "use --device cpu");
  }
  const auto found = std::find_if(list.gpus.begin(), list.gpus.end(), [&](const CudaGpu& one) {
    return "cuda:" + std::to_string(one.gpu.index) == name || one.gpu.uuid == name;
  });
  if (found != list.gpus.end() && found->place) return *found;
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  throw Error(Exit::no_device,
              what + " that CUDA shows" +
                  (visible == nullptr ? std::string()
                                      : "; CUDA_VISIBLE_DEVICES is \"" + printable(visible) + "\""),
              "gpu-run devices lists what there is");
}

std::vector<CudaGpu> by_use(const CudaList& list) {
  std::vector<CudaGpu> gpus;
  std::copy_if(list.gpus.begin(), list.gpus.end(), std::back_inserter(gpus),
               [](const CudaGpu& one) { return one.place.has_value(); });
  std::stable_sort(gpus.begin(), gpus.end(), [](const CudaGpu& a, const CudaGpu& b) {
    return a.gpu.memory_used_bytes < b.gpu.memory_used_bytes;
  });
  return gpus;
}

}  // namespace volt::device
