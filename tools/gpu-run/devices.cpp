// SPDX-License-Identifier: Apache-2.0
#include "kernels/module.hpp"
#include "libvolt/base/quantities.hpp"
#include "libvolt/device/cuda.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/device/gpus.hpp"
#include "libvolt/sandbox/sandbox.hpp"
#include "tools/gpu-run/gpu_run.hpp"

namespace volt::gpu_run {
namespace {

using doc::Value;

/// Lines for a person, and the same for a program.
struct Listing {
  std::string text;
  std::string absent;  // why there is no GPU, or none that CUDA shows
  Value::Array items;
};

void add(Listing& list, const device::CudaGpu& one, const std::string& driver) {
  const auto& gpu = one.gpu;
  const auto name = "cuda:" + std::to_string(gpu.index);
  const auto used = format_memory(gpu.memory_used_bytes) + " in use, ";
  list.text += name + "  " + gpu.name + ", " + format_memory(gpu.memory_bytes) + ", " +
               (one.listed ? used : "") + gpu.uuid + (one.place ? "" : ", for commands only") +
               "\n";
  Value::Object item{{"device", name},
                     {"name", gpu.name},
                     {"uuid", gpu.uuid},
                     {"memory_bytes", gpu.memory_bytes},
                     {"computes", one.place.has_value()}};
  if (one.listed) {
    item.emplace_back("memory_used_bytes", gpu.memory_used_bytes);
    item.emplace_back("driver", driver);
  }
  list.items.emplace_back(std::move(item));
}

Listing devices() {
  Listing list;
  const auto cpu = device::cpu_facts();
  list.text = "cpu  " + cpu.name + ", " + std::to_string(cpu.cores) + " cores, " +
              format_memory(cpu.memory_bytes) + "\n";
  list.items.emplace_back(Value::Object{{"device", "cpu"},
                                        {"name", cpu.name},
                                        {"cores", static_cast<std::int64_t>(cpu.cores)},
                                        {"memory_bytes", cpu.memory_bytes},
                                        {"computes", true}});
  const auto listed = device::gpus();
  const auto cuda = device::cuda_gpus(kernels::cuda(), listed);
  for (const auto& gpu : cuda.gpus) add(list, gpu, listed.driver);
  list.absent = cuda.absent.empty() ? listed.absent : cuda.absent;
  if (!listed.absent.empty()) list.text += "gpu  none: " + listed.absent + "\n";
  if (!cuda.absent.empty()) list.text += "cuda  none: " + cuda.absent + "\n";
  return list;
}

Listing sandboxes() {
  Listing list;
  for (const auto level : sandbox::levels) {
    const auto found = sandbox::availability(level);
    list.text += "sandbox " + std::string(sandbox::name_of(level)) + "  " +
                 (found.works ? "works" : "does not work: " + found.why) + "\n";
    if (!found.remedy.empty()) list.text += "  try: " + found.remedy + "\n";
    list.items.emplace_back(Value::Object{{"level", sandbox::name_of(level)},
                                          {"works", found.works},
                                          {"why", found.why},
                                          {"remedy", found.remedy}});
  }
  return list;
}

}  // namespace

Exit list_devices(cli::Session& session) {
  auto compute = devices(), confine = sandboxes();
  if (!session.json()) session.print(compute.text + confine.text);
  session.result({{"schema", "volt.devices/1"},
                  {"devices", std::move(compute.items)},
                  {"absent", compute.absent},
                  {"sandbox", std::move(confine.items)}});
  return Exit::ok;
}

}  // namespace volt::gpu_run
