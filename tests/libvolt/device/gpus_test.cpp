// SPDX-License-Identifier: Apache-2.0
#include "libvolt/device/gpus.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <utility>
#include <vector>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using namespace volt::device;

namespace {

/// What the library of fake_nvml.cpp says while this lives, and a folder of device nodes.
class Fake {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;
  Fake(std::initializer_list<Variables::value_type> variables) : variables_(variables) {
    for (const auto& [name, value] : variables_) {
      ::setenv(("FAKE_NVML_" + name).c_str(), value.c_str(), 1);
    }
    for (const char* name : {"nvidia0", "nvidia1", "nvidia2", "nvidia3"}) node(name);
  }
  ~Fake() {
    for (const auto& [name, value] : variables_) ::unsetenv(("FAKE_NVML_" + name).c_str());
  }
  Fake(const Fake&) = delete;
  Fake& operator=(const Fake&) = delete;

  void node(const char* name) const { nodes.write(name, ""); }
  GpuList list() const { return gpus(nodes.path()); }

  TempFolder nodes;

 private:
  Variables variables_;
};

std::vector<unsigned> indices(const std::vector<Gpu>& gpus) {
  std::vector<unsigned> found;
  for (const Gpu& gpu : gpus) found.push_back(gpu.index);
  return found;
}

using Indices = std::vector<unsigned>;

Exit exit_of(const GpuList& list, std::string_view wanted, unsigned count) {
  try {
    choose(list, wanted, count);
  } catch (const Error& error) {
    return error.code();
  }
  return Exit::ok;
}

/// Runs the test below in a process of its own, whose libraries come first from `folder`.
bool says(const std::string& folder, const std::string& expected) {
  const std::string command = "LD_LIBRARY_PATH='" + folder + "' EXPECTED='" + expected +
                              "' /proc/" + std::to_string(::getpid()) +
                              "/exe --no-skip --test-case='told by another library' >&2";
  return std::system(command.c_str()) == 0;
}

}  // namespace

TEST_CASE("told by another library" * doctest::skip()) {
  const char* expected = ::getenv("EXPECTED");
  if (expected == nullptr) return;
  const GpuList list = gpus();
  CHECK(list.absent.find(expected) != std::string::npos);
  CHECK(list.gpus.empty());
  CHECK(list.driver.empty());
  CHECK(std::isnan(sample({Gpu()}).at(0).power_w));
}

TEST_CASE("a machine without the library has no GPU") {
  if (std::filesystem::exists("/proc/driver/nvidia")) return;
  CHECK(says("", "no NVIDIA driver (libnvidia-ml.so.1 is not there)"));
}

TEST_CASE("a library that is none, or lacks a function, is named") {
  const TempFolder folder;
  folder.write("libnvidia-ml.so.1", std::string(4096, 'x'));
  CHECK(says(folder.path(), "libnvidia-ml.so.1: invalid ELF header)"));

  const TempFolder other;
  Dl_info libc{};
  REQUIRE(::dladdr(reinterpret_cast<void*>(&::getenv), &libc) != 0);
  std::filesystem::create_symlink(std::filesystem::canonical(libc.dli_fname),
                                  other / "libnvidia-ml.so.1");
  CHECK(says(other.path(), "no NVIDIA driver (libnvidia-ml.so.1 has no nvml"));
}

TEST_CASE("GPUs as they are") {
  const Fake fake{{"GPUS", "2"}, {"USED", "0,1000"}, {"MINOR", "3,1"}};
  const GpuList list = fake.list();
  INFO("LD_LIBRARY_PATH names the folder of the fake library: meson test -C build device");
  REQUIRE(list.absent == "");
  CHECK(list.driver == "550.54.15");
  REQUIRE(list.gpus.size() == 2);
  CHECK(list.gpus[0].index == 0);
  CHECK(list.gpus[0].minor == 3);
  CHECK(list.gpus[0].memory_used_bytes == 0);
  CHECK(list.gpus[1].index == 1);
  CHECK(list.gpus[1].minor == 1);
  CHECK(list.gpus[1].name == "NVIDIA Fake");
  CHECK(list.gpus[1].uuid == "GPU-00000001-fa4e-4000-8000-000000000000");
  CHECK(list.gpus[1].memory_bytes == 80ull << 30);
  CHECK(list.gpus[1].memory_used_bytes == 1000);
}

TEST_CASE("why there is none") {
  const auto why = [](const Fake& fake) {
    const GpuList list = fake.list();
    CHECK(list.gpus.empty());
    return list.absent;
  };
  CHECK(why(Fake{{"GPUS", "2"}, {"FAIL", "nvmlInit_v2=9"}}) == "the NVIDIA driver is not loaded");
  CHECK(why(Fake{{"GPUS", "2"}, {"FAIL", "nvmlInit_v2=18"}}) ==
        "driver and library versions differ: reboot, or reinstall the driver");
  CHECK(why(Fake{{"GPUS", "2"}, {"FAIL", "nvmlInit_v2=15"}}) ==
        "the NVIDIA driver does not start: GPU is lost");
  CHECK(why(Fake{{"GPUS", "2"}, {"FAIL", "nvmlDeviceGetCount_v2=999"}}) ==
        "the NVIDIA driver does not answer: Unknown Error");
  CHECK(why(Fake{{"GPUS", "0"}}) == "the NVIDIA driver has no GPU");
  CHECK(why(Fake{{"GPUS", "2"}, {"MIG", "0,1"}, {"FAIL", "nvmlDeviceGetHandleByIndex_v2/0=15"}}) ==
        "GPU 0 does not answer: GPU is lost; GPU 1 is divided by MIG");
}

TEST_CASE("a GPU of which anything that matters is not known is left out") {
  for (const std::string function :
       {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName", "nvmlDeviceGetUUID",
        "nvmlDeviceGetMinorNumber", "nvmlDeviceGetMemoryInfo"}) {
    const Fake fake{{"GPUS", "2"}, {"FAIL", function + "/0=15"}};
    CHECK(indices(fake.list().gpus) == Indices{1});
    CHECK(fake.list().absent == "GPU 0 does not answer: GPU is lost");
  }
}

TEST_CASE("what does not matter may fail") {
  const Fake fake{{"GPUS", "1"}, {"FAIL", "nvmlSystemGetDriverVersion=999,nvmlDeviceGetMigMode=3"}};
  CHECK(fake.list().gpus.size() == 1);
  CHECK(fake.list().driver == "");
  CHECK(fake.list().absent == "");
}

TEST_CASE("a GPU without its node is left out, as in a container that was given others") {
  const Fake fake{{"GPUS", "2"}, {"MINOR", "7,2"}};
  const GpuList list = fake.list();
  CHECK(indices(list.gpus) == Indices{1});
  CHECK(list.absent == "GPU 0 has no " + (fake.nodes / "nvidia7").string() + " here");
}

TEST_CASE("names come from outside: bounded, and safe for a terminal") {
  const Fake control{{"GPUS", "1"}, {"NAME", "\x1b[2JNVIDIA"}};
  CHECK(control.list().gpus.at(0).name == "\\x1b[2JNVIDIA");
  const Fake endless{{"GPUS", "1"}, {"NAME", std::string(500, 'n')}};
  CHECK(endless.list().gpus.at(0).name == std::string(96, 'n'));
}

TEST_CASE("auto is the ones with the least memory in use, in the order of their numbers") {
  const Fake fake{{"GPUS", "4"}, {"USED", "500,20,700,20"}};
  const GpuList list = fake.list();
  CHECK(indices(choose(list, "auto", 0)).empty());
  CHECK(indices(choose(list, "auto", 1)) == Indices{1});
  CHECK(indices(choose(list, "auto", 2)) == Indices{1, 3});
  CHECK(indices(choose(list, "auto", 3)) == Indices{0, 1, 3});
  CHECK(message_of([&] { choose(list, "auto", 5); }) ==
        "the job wants 5 GPUs, and 4 can be used [gpu-run devices lists what there is]");
  CHECK(exit_of(list, "auto", 5) == Exit::no_device);
}

TEST_CASE("named GPUs are those, in the order named") {
  const GpuList list = Fake{{"GPUS", "4"}}.list();
  CHECK(indices(choose(list, "cuda:2", 1)) == Indices{2});
  CHECK(indices(choose(list, "cuda:3,1", 2)) == Indices{3, 1});
  CHECK(indices(choose(list, list.gpus[2].uuid + "," + list.gpus[0].uuid, 2)) == Indices{2, 0});
}

TEST_CASE("wrong names are told from absent GPUs") {
  const GpuList list = Fake{{"GPUS", "2"}, {"FAIL", "nvmlDeviceGetName/0=15"}}.list();
  for (const std::string wanted :
       {"", "cuda", "cuda:", "cuda:1,", "cuda:01", "cuda:-1", "cuda:x", "cuda:1,cuda:2",
        "cuda:0,GPU-1", "GPU-1,", "GPU-1,2", "gpu-1", "auto,auto", "AUTO", "cpu"}) {
    CAPTURE(wanted);
    CHECK(message_of([&] { choose(list, wanted, 1); }) ==
          "no GPU is called \"" + wanted +
              "\" [write auto, cuda:0,1 or GPU-uuid,GPU-uuid; gpu-run devices lists them]");
    CHECK(exit_of(list, wanted, 1) == Exit::usage);
  }
  CHECK(message_of([&] { choose(list, "cuda:1,1", 2); }) == "\"cuda:1,1\" names 1 twice");
  CHECK(message_of([&] { choose(list, "cuda:1", 2); }) == "\"cuda:1\" names 1, the job wants 2");
  CHECK(message_of([&] { choose(list, "GPU-a,GPU-b", 1); }) ==
        "\"GPU-a,GPU-b\" names 2, the job wants 1");
  CHECK(exit_of(list, "cuda:1,1", 2) == Exit::usage);
  CHECK(exit_of(list, "cuda:1", 2) == Exit::usage);

  CHECK(message_of([&] { choose(list, "cuda:0", 1); }) ==
        "no GPU 0 that can be used: GPU 0 does not answer: GPU is lost "
        "[gpu-run devices lists what there is]");
  for (const std::string wanted : {"cuda:0", "cuda:2", "cuda:18446744073709551615", "GPU-1"}) {
    CHECK(exit_of(list, wanted, 1) == Exit::no_device);
  }
  CHECK(message_of([&] { choose(list, "GPU-\x1b[2J", 1); }).find('\x1b') == std::string::npos);
}

TEST_CASE("without GPUs the reason is told, whichever were wanted") {
  const GpuList list = Fake{{"FAIL", "nvmlInit_v2=9"}}.list();
  for (const char* wanted : {"auto", "cuda:0", "GPU-1"}) {
    CHECK(message_of([&] { choose(list, wanted, 1); }) ==
          "no GPU: the NVIDIA driver is not loaded");
    CHECK(exit_of(list, wanted, 1) == Exit::no_device);
  }
  CHECK(choose(list, "auto", 0).empty());
}

TEST_CASE("device nodes: the GPUs' own, and the common ones that are there") {
  const Fake fake{{"GPUS", "2"}, {"MINOR", "1,0"}};
  const std::string folder = fake.nodes.path();
  const GpuList list = fake.list();
  using Paths = std::vector<std::string>;
  CHECK(nodes({}, folder).empty());
  CHECK(nodes(choose(list, "cuda:0", 1), folder) == Paths{folder + "/nvidia1"});
  for (const char* name : {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"}) {
    fake.node(name);
  }
  CHECK(nodes(list.gpus, folder) ==
        Paths{folder + "/nvidia1", folder + "/nvidia0", folder + "/nvidiactl",
              folder + "/nvidia-uvm", folder + "/nvidia-uvm-tools", folder + "/nvidia-modeset"});
  CHECK(nodes({Gpu()}).at(0) == "/dev/nvidia0");
}

TEST_CASE("samples, and what a GPU does not tell") {
  const Fake fake{{"GPUS", "4"},
                  {"USED", "0,0,5000,0"},
                  {"FAIL",
                   "nvmlDeviceGetUtilizationRates/1=3,nvmlDeviceGetPowerUsage/1=3,"
                   "nvmlDeviceGetTemperature/1=3"}};
  const GpuList list = fake.list();
  const auto samples = sample(choose(list, "cuda:2,1", 2));
  REQUIRE(samples.size() == 2);
  CHECK(samples[0].index == 2);
  CHECK(samples[0].utilisation == 0.02);
  CHECK(samples[0].memory_used_bytes == 5000);
  CHECK(samples[0].power_w == 102);
  CHECK(samples[0].temperature_c == 42);
  CHECK(samples[1].index == 1);
  CHECK(std::isnan(samples[1].utilisation));
  CHECK(samples[1].memory_used_bytes == 0);
  CHECK(std::isnan(samples[1].power_w));
  CHECK(std::isnan(samples[1].temperature_c));

  const Fake lost{{"FAIL", "nvmlDeviceGetHandleByIndex_v2/0=15,nvmlDeviceGetMemoryInfo/3=15"}};
  const auto after = sample(list.gpus);
  CHECK(std::isnan(after[0].memory_used_bytes));
  CHECK(std::isnan(after[0].temperature_c));
  CHECK(std::isnan(after[3].memory_used_bytes));
  CHECK(after[3].temperature_c == 43);
  CHECK(sample({}).empty());
}
