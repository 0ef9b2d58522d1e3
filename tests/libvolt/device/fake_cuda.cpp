// SPDX-License-Identifier: Apache-2.0
// A libvolt_cuda.so for machines without a GPU: the reference's arithmetic on memory that is only
// reached as a GPU's would be. The environment says what there is:
//
//   FAKE_CUDA_GPUS=2        how many GPUs CUDA shows (1); GPU i has the UUID of fake_nvml.cpp's
//   FAKE_CUDA_FIRST=1       the UUID that the first of them has, as CUDA_VISIBLE_DEVICES would (0)
//   FAKE_CUDA_BROKEN=1      as many of them, from the first on, cannot be opened (0)
//   FAKE_CUDA_TRAP=1        opening any of them ends the process
//   FAKE_CUDA_DRIVER=12040  the CUDA version that the driver serves (13000); 0: no driver
//   FAKE_CUDA_BUILD=text    another build than the program's
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "kernels/check.hpp"
#include "kernels/host.hpp"
#include "kernels/module.hpp"
#include "kernels/network_engine.hpp"

namespace volt::kernels {
namespace {

std::uint32_t number(const char* name, std::uint32_t fallback) {
  const char* const value = std::getenv(name);
  return value == nullptr ? fallback : static_cast<std::uint32_t>(std::strtoul(value, nullptr, 10));
}

std::uint32_t count() {
  return number("FAKE_CUDA_DRIVER", 13000) == 0 ? 0 : number("FAKE_CUDA_GPUS", 1);
}

const Store store = [] {
  Store own = host_store;
  own.owner = "the GPU";
  own.is_host = false;  // what is borrowed is copied
  return own;
}();

const Engine engine = [] {
  Engine own = reference_engine;
  own.store = &store;
  return own;
}();

Status open(const Options& options, Context** context) {
  *context = nullptr;
  if (number("FAKE_CUDA_TRAP", 0) != 0) std::_Exit(1);
  if (options.device >= count()) {
    return say(Status::invalid, "GPU %u is asked for, CUDA shows %u", options.device, count());
  }
  if (options.device < number("FAKE_CUDA_BROKEN", 0)) {
    return say(Status::failed, "CUDA: no kernel image is available for execution on the device");
  }
  return open_context(engine, options, 1, context);
}

Status devices(DeviceInfo* infos, std::uint32_t capacity, std::uint32_t* found) {
  *found = count();
  for (std::uint32_t i = 0; i < std::min(*found, capacity); ++i) {
    infos[i] = {"NVIDIA Fake", {}, std::uint64_t{80} << 30, 90, 132};
    std::snprintf(infos[i].uuid, sizeof infos[i].uuid, "GPU-%08x-fa4e-4000-8000-000000000000",
                  number("FAKE_CUDA_FIRST", 0) + i);
  }
  return {};
}

}  // namespace
}  // namespace volt::kernels

extern "C" const volt::kernels::Module* volt_kernels_module() {
  using namespace volt::kernels;
  static const Backend backend = make_backend("cuda", open, &network_operations);
  const char* const build = std::getenv("FAKE_CUDA_BUILD");
  static const Module module = {build == nullptr ? build_id() : build, &backend,
                                number("FAKE_CUDA_DRIVER", 13000), 13000, devices};
  return &module;
}
