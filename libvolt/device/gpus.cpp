// SPDX-License-Identifier: Apache-2.0
#include "libvolt/device/gpus.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/driver.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::device {
namespace {

// What is used of NVML's interface, which is stable: new forms of a function get a new name.
constexpr int success = 0, driver_not_loaded = 9, version_mismatch = 18;  // nvmlReturn_t
constexpr int gpu_sensor = 0;                                             // NVML_TEMPERATURE_GPU
struct Memory {
  unsigned long long total, free, used;
};
struct Utilisation {
  unsigned gpu, memory;  // percent of the time
};
using Handle = struct OpaqueGpu*;
using Text = std::array<char, 96>;  // what NVML says is long enough for any name, UUID or version

struct Nvml {
  std::string absent;  ///< why nothing below may be called; empty when all may
  int (*init)();
  const char* (*error_string)(int);
  int (*driver_version)(char*, unsigned);
  int (*count)(unsigned*);
  int (*handle_by_index)(unsigned, Handle*);
  int (*name)(Handle, char*, unsigned);
  int (*uuid)(Handle, char*, unsigned);
  int (*minor_number)(Handle, unsigned*);
  int (*mig_mode)(Handle, unsigned* now, unsigned* after_reset);  ///< null before driver 450
  int (*memory_info)(Handle, Memory*);
  int (*utilisation)(Handle, Utilisation*);
  int (*power)(Handle, unsigned*);
  int (*temperature)(Handle, int sensor, unsigned*);
};

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  return function != nullptr;
}

Nvml load() {
  Nvml nvml{};
  const auto library = kernels::load_driver_library("libnvidia-ml.so.1");
  if (library.handle == nullptr) {
    nvml.absent =
        "no NVIDIA driver (" +
        (library.why.empty() ? "libnvidia-ml.so.1 is not there" : printable(library.why)) + ")";
    return nvml;
  }
  const auto need = [&](const char* name, auto& function) {
    if (!find(library.handle, name, function)) {
      nvml.absent = std::string("no NVIDIA driver (libnvidia-ml.so.1 has no ") + name + ")";
    }
  };
  need("nvmlInit_v2", nvml.init);
  need("nvmlErrorString", nvml.error_string);
  need("nvmlSystemGetDriverVersion", nvml.driver_version);
  need("nvmlDeviceGetCount_v2", nvml.count);
  need("nvmlDeviceGetHandleByIndex_v2", nvml.handle_by_index);
  need("nvmlDeviceGetName", nvml.name);
  need("nvmlDeviceGetUUID", nvml.uuid);
  need("nvmlDeviceGetMinorNumber", nvml.minor_number);
  need("nvmlDeviceGetMemoryInfo", nvml.memory_info);
  need("nvmlDeviceGetUtilizationRates", nvml.utilisation);
  need("nvmlDeviceGetPowerUsage", nvml.power);
  need("nvmlDeviceGetTemperature", nvml.temperature);
  find(library.handle, "nvmlDeviceGetMigMode", nvml.mig_mode);
  return nvml;
}

const Nvml& nvml() {
  static const Nvml loaded = load();
  return loaded;
}

std::string words(int code) { return printable(nvml().error_string(code)); }

std::string text(const Text& bytes) {
  return printable({bytes.data(), ::strnlen(bytes.data(), bytes.size())}, bytes.size());
}

/// Starts NVML, which counts how often and works once. It is never shut down: the GPUs would be
/// set up anew for each sample. Returns why it does not start; empty when it does.
std::string start() {
  if (!nvml().absent.empty()) return nvml().absent;
  switch (const int code = nvml().init()) {
    case success:
      return {};
    case driver_not_loaded:
      return "the NVIDIA driver is not loaded";
    case version_mismatch:
      return "driver and library versions differ: reboot, or reinstall the driver";
    default:
      return "the NVIDIA driver does not start: " + words(code);
  }
}

bool divided(Handle handle) {
  unsigned now = 0, after_reset = 0;
  return nvml().mig_mode != nullptr && nvml().mig_mode(handle, &now, &after_reset) == success &&
         now == 1;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::string node(const Gpu& gpu, const std::string& folder) {
  return folder + "/nvidia" + std::to_string(gpu.minor);
}

/// Fills in the GPU of `gpu.index`. Returns why no program can use it; empty when one can.
std::string read(Gpu& gpu, const std::string& folder) {
  Handle handle = nullptr;
  Text name{}, uuid{};
  Memory memory{};
  int code = nvml().handle_by_index(gpu.index, &handle);
  // The whole of it is of no use then, and its memory is shown to root only.
  if (code == success && divided(handle)) return "is divided by MIG";
  if (code == success) code = nvml().name(handle, name.data(), name.size());
  if (code == success) code = nvml().uuid(handle, uuid.data(), uuid.size());
  if (code == success) code = nvml().minor_number(handle, &gpu.minor);
  if (code == success) code = nvml().memory_info(handle, &memory);
  if (code != success) return "does not answer: " + words(code);
  if (!exists(node(gpu, folder))) return "has no " + node(gpu, folder) + " here";
  gpu.name = text(name);
  gpu.uuid = text(uuid);
  gpu.memory_bytes = memory.total;
  gpu.memory_used_bytes = memory.used;
  return {};
}

/// What `wanted` names: indices in decimal, or UUIDs.
std::vector<std::string_view> names(std::string_view wanted, unsigned count) {
  const bool by_index = wanted.starts_with("cuda:");
  auto parts = split(by_index ? wanted.substr(5) : wanted, ',');
  for (const auto part : parts) {
    if (by_index ? !parse_unsigned(part) : !part.starts_with("GPU-")) {
      throw Error(Exit::usage, "no GPU is called \"" + printable(wanted) + "\"",
                  "write auto, cuda:0,1 or GPU-uuid,GPU-uuid; gpu-run devices lists them");
    }
    if (std::count(parts.begin(), parts.end(), part) > 1) {
      throw Error(Exit::usage, "\"" + printable(wanted) + "\" names " + printable(part) + " twice");
    }
  }
  if (parts.size() != count) {
    throw Error(Exit::usage, "\"" + printable(wanted) + "\" names " + std::to_string(parts.size()) +
                                 ", the job wants " + std::to_string(count));
  }
  return parts;
}

[[noreturn]] void fail(const std::string& message, const GpuList& list) {
  throw Error(Exit::no_device, message + (list.absent.empty() ? "" : ": " + list.absent),
              list.gpus.empty() ? "" : "gpu-run devices lists what there is");
}

std::vector<Gpu> least_used(std::vector<Gpu> gpus, unsigned count) {
  std::stable_sort(gpus.begin(), gpus.end(), [](const Gpu& a, const Gpu& b) {
    return a.memory_used_bytes < b.memory_used_bytes;
  });
  gpus.resize(count);
  std::sort(gpus.begin(), gpus.end(), [](const Gpu& a, const Gpu& b) { return a.index < b.index; });
  return gpus;
}

}  // namespace

GpuList gpus(const std::string& folder) {
  GpuList list;
  list.absent = start();
  if (!list.absent.empty()) return list;
  Text driver{};
  if (nvml().driver_version(driver.data(), driver.size()) == success) list.driver = text(driver);
  unsigned count = 0;
  if (const int code = nvml().count(&count); code != success) {
    list.absent = "the NVIDIA driver does not answer: " + words(code);
    return list;
  }
  std::vector<std::string> left_out;
  for (unsigned i = 0; i < count; ++i) {
    Gpu gpu;
    gpu.index = i;
    const std::string why = read(gpu, folder);
    if (why.empty()) {
      list.gpus.push_back(gpu);
    } else {
      left_out.push_back("GPU " + std::to_string(i) + " " + why);
    }
  }
  list.absent = count == 0 ? "the NVIDIA driver has no GPU" : join(left_out, "; ");
  return list;
}

std::vector<Gpu> choose(const GpuList& list, std::string_view wanted, unsigned count) {
  const bool any = wanted == "auto";
  const auto named = any ? std::vector<std::string_view>() : names(wanted, count);
  if (list.gpus.empty() && count > 0) fail("no GPU", list);
  if (any && list.gpus.size() < count) {
    fail("the job wants " + std::to_string(count) + " GPUs, and " +
             std::to_string(list.gpus.size()) + " can be used",
         list);
  }
  if (any) return least_used(list.gpus, count);
  std::vector<Gpu> chosen;
  for (const auto name : named) {
    const auto gpu = std::find_if(list.gpus.begin(), list.gpus.end(), [&](const Gpu& one) {
      return std::to_string(one.index) == name || one.uuid == name;
    });
    if (gpu == list.gpus.end()) {
      fail("no GPU " + printable(name) + " that can be used", list);
    }
    chosen.push_back(*gpu);
  }
  return chosen;
}

std::vector<std::string> nodes(const std::vector<Gpu>& gpus, const std::string& folder) {
  std::vector<std::string> paths;
  if (gpus.empty()) return paths;
  for (const Gpu& gpu : gpus) paths.push_back(node(gpu, folder));
  for (const char* name : {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"}) {
    if (exists(folder + "/" + name)) paths.push_back(folder + "/" + name);
  }
  return paths;
}

std::vector<GpuSample> sample(const std::vector<Gpu>& gpus) {
  std::vector<GpuSample> samples;
  for (const Gpu& gpu : gpus) {
    GpuSample& one = samples.emplace_back();
    one.index = gpu.index;
    Handle handle = nullptr;
    if (!nvml().absent.empty() || nvml().handle_by_index(gpu.index, &handle) != success) continue;
    Utilisation busy{};
    Memory memory{};
    unsigned milliwatt = 0, celsius = 0;
    if (nvml().utilisation(handle, &busy) == success) one.utilisation = busy.gpu / 100.0;
    if (nvml().memory_info(handle, &memory) == success) {
      one.memory_used_bytes = static_cast<double>(memory.used);
    }
    if (nvml().power(handle, &milliwatt) == success) one.power_w = milliwatt / 1000.0;
    if (nvml().temperature(handle, gpu_sensor, &celsius) == success) one.temperature_c = celsius;
  }
  return samples;
}

}  // namespace volt::device
