// SPDX-License-Identifier: Apache-2.0
#include "libvolt/device/cuda.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstdio>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::device;

namespace {

/// CUDA that shows GPUs of these UUIDs, in this order.
kernels::Cuda shows(std::initializer_list<const char*> uuids) {
  kernels::Cuda cuda;
  cuda.backend = &kernels::cpu();
  for (const char* uuid : uuids) {
    kernels::DeviceInfo info{"NVIDIA Test", {}, 80'000'000'000, 90, 132};
    std::snprintf(info.uuid, sizeof info.uuid, "%s", uuid);
    cuda.devices.push_back(info);
  }
  return cuda;
}

/// NVML's list: indices from 0 on, and the bytes in use on each.
GpuList lists(std::initializer_list<std::pair<const char*, std::uint64_t>> gpus) {
  GpuList list;
  for (const auto& [uuid, used] : gpus) {
    Gpu gpu;
    gpu.index = static_cast<unsigned>(list.gpus.size());
    gpu.uuid = uuid;
    gpu.memory_used_bytes = used;
    list.gpus.push_back(gpu);
  }
  return list;
}

}  // namespace

TEST_CASE("a GPU is called by NVML's index, whatever place CUDA gives it") {
  const auto list = cuda_gpus(shows({"GPU-b", "GPU-a"}), lists({{"GPU-a", 5}, {"GPU-b", 3}}));
  REQUIRE(list.gpus.size() == 2);
  CHECK(find(list, "cuda:0").gpu.uuid == "GPU-a");
  CHECK(find(list, "cuda:0").place == 1u);
  CHECK(find(list, "GPU-b").place == 0u);
  CHECK(find(list, "GPU-b").multiprocessors == 132);
  CHECK(by_use(list).front().gpu.uuid == "GPU-b");
}

TEST_CASE("what CUDA does not show is for commands only, and what only CUDA shows comes last") {
  const auto list = cuda_gpus(shows({"GPU-c", "GPU-b"}), lists({{"GPU-a", 0}, {"GPU-b", 9}}));
  REQUIRE(list.gpus.size() == 3);
  CHECK_FALSE(list.gpus[0].place);
  CHECK(find(list, "cuda:1").gpu.uuid == "GPU-b");
  CHECK(find(list, "cuda:2").gpu.uuid == "GPU-c");
  CHECK_FALSE(find(list, "cuda:2").listed);
  CHECK(by_use(list).size() == 2);
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(message_of([&] { find(list, "cuda:0"); }) ==
        "no device cuda:0 that CUDA shows [gpu-run devices lists what there is]");
  ::setenv("CUDA_VISIBLE_DEVICES", "2,1", 1);
  CHECK(message_of([&] { find(list, "cuda:0"); }) ==
        "no device cuda:0 that CUDA shows; CUDA_VISIBLE_DEVICES is \"2,1\" "
        "[gpu-run devices lists what there is]");
  ::unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_CASE("without CUDA there is a reason, and NVML's GPUs are listed all the same") {
  kernels::Cuda cuda;
  cuda.absent = "no NVIDIA driver";
  const auto list = cuda_gpus(cuda, lists({{"GPU-a", 0}}));
  CHECK(list.gpus.size() == 1);
  CHECK(by_use(list).empty());
  CHECK(message_of([&] { find(list, "cuda:0"); }) ==
        "no device cuda:0: no NVIDIA driver [use --device cpu]");
}
