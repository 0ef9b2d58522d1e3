// SPDX-License-Identifier: Apache-2.0

// cuDNN itself, where it is, compiles our graphs for GPUs that need not be there. What it says of
// them is all that a machine without a GPU can know.

#include <doctest/doctest.h>

#include <cstdio>
#include <string>

#include "kernels/attention_graph.hpp"
#include "kernels/driver.hpp"

namespace volt::kernels {
namespace {

// The properties of a GPU as cuDNN writes them down.
struct Gpu {
  int capability;  // 90 is 9.0
  int multiprocessors, shared_bytes;
  long memory_bytes;
};
constexpr Gpu t4 = {75, 40, 65536, 16'000'000'000};
constexpr Gpu a100 = {80, 108, 166912, 42'000'000'000};
constexpr Gpu h100 = {90, 132, 232448, 85'000'000'000};

std::string json_of(const Gpu& gpu) {
  char text[1000];
  std::snprintf(
      text, sizeof text,
      R"({"cudaDeviceId":0,"deviceName":"a GPU","deviceVer":%d,"driverVer":13000,"isTccDriver":0,)"
      R"("l2CacheSize":41943040,"maxBlockSize":[1024,1024,64],"maxCtasPerSM":32,)"
      R"("maxGridSize":[2147483647,65535,65535],"maxRegistersPerSM":65536,)"
      R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":%d,)"
      R"("maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"memClockRateKHz":1215000,)"
      R"("multiProcessorCount":%d,"pciDeviceId":0,"regsPerBlock":65536,)"
      R"("reservedSharedMemoryPerBlock":1024,"smClockRateKHz":1410000,"supportCoopLaunch":1,)"
      R"("totalGlobalMem":%ld,"warpSize":32})",
      gpu.capability * 10, gpu.shared_bytes, gpu.multiprocessors, gpu.memory_bytes);
  return text;
}

struct Library {
  Library() : why_not(load_functions({"libcudnn.so.9"}, functions)) {
    if (why_not.empty() && functions.cudnnGetVersion() < 90800) {
      why_not = "cuDNN before 9.8 needs a GPU to compile for one";
    }
  }
  Cudnn functions = {};
  std::string why_not;
};

// False, with a word why, where there is nothing to ask.
bool asked(const Library& library) {
  if (library.why_not.empty()) return true;
  MESSAGE("skipped: " << library.why_not);
  return false;
}

std::optional<AttentionPlan> plan(const Library& library, const Gpu& gpu,
                                  const AttentionShape& shape) {
  DnnDescriptors descriptors(library.functions);
  void* const device = descriptors.make(cudnn_device_properties);
  const std::string json = json_of(gpu);
  descriptors.set(device, cudnn_attr_deviceprop_json_representation, cudnn_type_char, json.data(),
                  static_cast<std::int64_t>(json.size()));
  descriptors.finish(device);
  REQUIRE(descriptors.good());
  return plan_attention(library.functions, {nullptr, device}, shape);
}

TEST_CASE("cuDNN has attention of every kind of shape that we ask it for, on 8.0 and 9.0") {
  const Library library;
  if (!asked(library)) return;
  for (const Gpu& gpu : {a100, h100}) {
    for (const bool backward : {false, true}) {
      for (const AttentionShape& shape : {AttentionShape{backward, 32, 64, 1, 1, 8},
                                          {backward, 10, 192, 8, 2, 24},
                                          {backward, 4, 512, 6, 6, 64},
                                          {backward, 1, 2048, 32, 8, 128}}) {
        CAPTURE(gpu.capability);
        CAPTURE(backward);
        CAPTURE(shape.rows);
        const std::optional<AttentionPlan> found = plan(library, gpu, shape);
        REQUIRE(found);
        CHECK(!found->sums);
        CHECK(found->plan.workspace_bytes <= 512u << 20);
      }
    }
  }
}

TEST_CASE("a long sample's gradients are summed up, which takes less memory than all scores") {
  const Library library;
  if (!asked(library)) return;
  for (const Gpu& gpu : {a100, h100}) {
    const std::optional<AttentionPlan> found = plan(library, gpu, {true, 1, 8192, 32, 8, 128});
    REQUIRE(found);
    CHECK(found->sums);
    CHECK(found->plan.workspace_bytes < std::uint64_t{1} << 30);
  }
}

TEST_CASE("cuDNN has none before 8.0, and none of a width that is no multiple of 8") {
  const Library library;
  if (!asked(library)) return;
  CHECK(!plan(library, t4, {false, 4, 512, 8, 8, 64}));
  CHECK(!plan(library, h100, {false, 4, 512, 8, 8, 60}));
}

}  // namespace
}  // namespace volt::kernels
