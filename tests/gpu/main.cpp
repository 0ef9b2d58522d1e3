// SPDX-License-Identifier: Apache-2.0

// Is a GPU's every bit the CPU's, and how fast is it? Needs nothing but the kernels and their CUDA
// module.

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

#include "bench/measured.hpp"
#include "kernels/module.hpp"
#include "parity.hpp"
#include "peers.hpp"
#include "speed.hpp"
#include "wrong.hpp"

namespace volt::gpu {
namespace {

constexpr int exit_differs = 1, exit_usage = 2, exit_no_device = 13, exit_io = 15;

constexpr const char* usage = R"(usage: measure_gpu [OPTION...]

  --device NAME   cuda:N (cuda:0), or cpu in the place of a GPU
  --json FILE     the report (volt-gpu.json)
  --only PART     parity, or speed
  --quick         few cases and tiny shapes, in seconds
  --break ROW     flip the last bit of what this row of the backend leaves
  --commit ID     what the report says was measured

exit status: 0 every bit is equal, 1 some differ, 13 there is no GPU to use
)";

struct Arguments {
  std::optional<std::uint32_t> gpu = 0;  // none: cpu
  std::string json = "volt-gpu.json", broken, commit;
  bool parity = true, speed = true;
  Extent extent = Extent::full;
};

// A mistake of the caller's.
struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::optional<std::uint32_t> to_gpu(const std::string& name) {
  if (name == "cpu") return {};
  const bool known = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 8 &&
                     name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (!known) throw Usage("device '" + name + "' is neither cpu nor cuda:N");
  return static_cast<std::uint32_t>(std::stoul(name.substr(5)));
}

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == count) throw Usage(word + " needs a value");
      return words[++i];
    };
    if (word == "--device") {
      arguments.gpu = to_gpu(value());
    } else if (word == "--json") {
      arguments.json = value();
    } else if (word == "--break") {
      arguments.broken = value();
    } else if (word == "--commit") {
      arguments.commit = value();
    } else if (word == "--only") {
      const std::string part = value();
      if (part != "parity" && part != "speed") throw Usage("only '" + part + "'?");
      arguments.parity = part == "parity", arguments.speed = part == "speed";
    } else if (word == "--quick") {
      arguments.extent = Extent::quick;
    } else {
      throw Usage("what is '" + word + "'?");
    }
  }
  return arguments;
}

std::string version_text(std::uint32_t version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// "580.65.06, CUDA 13.0"; the first only where the kernel module tells.
std::string driver_text(std::uint32_t cuda) {
  std::ifstream file("/sys/module/nvidia/version");
  std::string version;
  std::getline(file, version);
  return (version.empty() ? "" : version + ", ") + "CUDA " + version_text(cuda);
}

bench::Machine machine_of(const std::optional<std::uint32_t>& gpu) {
  bench::Machine machine = bench::this_machine();
  if (!gpu) return machine;
  const kernels::Cuda& cuda = kernels::cuda();
  const kernels::DeviceInfo& info = cuda.devices[*gpu];
  machine.gpu = info.name;
  machine.capability =
      std::to_string(info.capability / 10) + "." + std::to_string(info.capability % 10);
  machine.driver = driver_text(cuda.driver);
  machine.cuda_runtime = version_text(cuda.runtime);
  return machine;
}

// Empty when the device can be used.
std::string why_not(const std::optional<std::uint32_t>& gpu) {
  if (!gpu) return "";
  const kernels::Cuda& cuda = kernels::cuda();
  if (cuda.backend == nullptr) return cuda.absent;
  if (*gpu >= cuda.devices.size()) {
    return "there is no cuda:" + std::to_string(*gpu) + ", CUDA shows " +
           std::to_string(cuda.devices.size()) + " of them";
  }
  try {
    Device opened(*cuda.backend, *gpu);
    return "";
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
}

// Says on stderr what begins, and when.
class Progress {
 public:
  void operator()(const char* what) const {
    const std::chrono::duration<double> past = Clock::now() - start_;
    std::fprintf(stderr, "[%4.0f s] %s\n", past.count(), what);
  }

 private:
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start_ = Clock::now();
};

// A part that cannot go on is a difference: the report tells, and has all the rest.
void compare(const kernels::Backend& backend, const Arguments& arguments, const Progress& progress,
             bench::Report& report) {
  const Extent extent = arguments.extent;
  Device device(backend, arguments.gpu.value_or(0));
  Comparison comparison(device);
  const auto part = [&](const char* name, auto work) {
    progress((std::string("parity: ") + name).c_str());
    try {
      work();
    } catch (const std::exception& error) {
      comparison.count(name, std::string("stopped: ") + error.what(), false);
    }
  };
  part("memory", [&] { compare_memory(comparison, extent); });
  part("digests", [&] { compare_digests(comparison, extent); });
  part("products", [&] { compare_products(comparison, extent); });
  part("elements", [&] { compare_elements(comparison, extent); });
  part("networks", [&] { compare_network(comparison, extent); });
  part("the profile native", [&] { compare_native(comparison, extent); });
  part("refusals", [&] { compare_refusals(comparison); });
  if (extent == Extent::full) part("beyond 4 GiB", [&] { compare_far(comparison); });
  report.parity = comparison.parity();
}

void measure(const kernels::Backend& backend, const Arguments& arguments, const Progress& progress,
             bench::Report& report) {
  progress("speed");
  Device device(backend, arguments.gpu.value_or(0));
  Peers peers(arguments.gpu);
  measure_products(device, peers, arguments.extent, report.rows);
  measure_streams(device, peers, arguments.extent, report.rows);
  measure_network(device, peers, arguments.extent, report.rows);
}

bool all_equal(const bench::Report& report) {
  for (const bench::Parity& row : report.parity) {
    if (row.differ != 0) return false;
  }
  return true;
}

int run(const Arguments& arguments) {
  const std::string absent = why_not(arguments.gpu);
  if (!absent.empty()) {
    std::fprintf(stderr, "error: %s\n", absent.c_str());
    return exit_no_device;
  }
  kernels::Backend backend = arguments.gpu ? *kernels::cuda().backend : kernels::cpu();
  if (!arguments.broken.empty() && !make_wrong(arguments.broken, backend)) {
    throw Usage("a backend has no row '" + arguments.broken + "'");
  }
  bench::Report report;
  report.what = "gpu";
  report.commit = arguments.commit;
  report.machine = machine_of(arguments.gpu);
  const Progress progress;
  if (arguments.parity) compare(backend, arguments, progress, report);
  if (arguments.speed) measure(backend, arguments, progress, report);
  progress("done");
  std::fputs(to_table(report).c_str(), stdout);
  std::ofstream file(arguments.json);
  if (!(file << to_json(report)).flush()) {
    std::fprintf(stderr, "error: could not write %s: %s\n", arguments.json.c_str(),
                 std::strerror(errno));
    return exit_io;
  }
  return all_equal(report) ? 0 : exit_differs;
}

}  // namespace
}  // namespace volt::gpu

int main(int count, char** words) {
  using namespace volt::gpu;
  try {
    if (count == 2 && std::strcmp(words[1], "--help") == 0) return std::fputs(usage, stdout) < 0;
    return run(parse(count, words));
  } catch (const Usage& mistake) {
    std::fprintf(stderr, "error: %s\n%s", mistake.what(), usage);
    return exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return exit_differs;
  }
}
