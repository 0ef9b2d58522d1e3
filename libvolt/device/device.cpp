// SPDX-License-Identifier: Apache-2.0
#include "libvolt/device/device.hpp"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/device/cuda.hpp"

namespace volt::device {
namespace {

constexpr std::uint64_t max_threads = 1024;  // what the kernels' pool takes

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos) {
      return printable(trim(std::string_view(line).substr(colon + 1)), 100);
    }
  }
  utsname system{};
  return ::uname(&system) == 0 ? std::string(system.machine) : "unknown";
}

/// Cores that this process may run on: fewer than there are inside a container or under taskset.
unsigned usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

bool is_gpu(std::string_view name) {
  return name.starts_with("GPU-") ||
         (name.starts_with("cuda:") && parse_unsigned(name.substr(5)).has_value());
}

void check_name(std::string_view name) {
  if (name == "auto" || name == "cpu" || is_gpu(name)) return;
  throw Error(Exit::usage, "no device is called \"" + printable(name) + "\"",
              "devices are auto, cpu, cuda:N and GPU-uuid; gpu-run devices lists them");
}

std::uint64_t most_of_memory() { return cpu_facts().memory_bytes / 10 * 9; }

Facts gpu_facts(const CudaGpu& one, const std::string& driver, std::uint32_t version) {
  Facts facts;
  facts.backend = "cuda";
  facts.name = one.gpu.name;
  facts.driver = (driver.empty() ? "" : "nvidia " + driver + ", ") + "cuda " +
                 std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  facts.memory_bytes = one.gpu.memory_bytes;
  facts.cores = one.multiprocessors;
  return facts;
}

}  // namespace

Wanted wanted(std::string_view name, std::uint64_t threads) {
  check_name(name);
  if (threads > max_threads) {
    throw Error(Exit::usage, std::to_string(threads) + " threads are more than the " +
                                 std::to_string(max_threads) + " allowed");
  }
  return {std::string(name), static_cast<unsigned>(threads), 0};
}

Facts cpu_facts() {
  Facts facts;
  facts.backend = "cpu";
  facts.name = cpu_name();
  utsname system{};
  if (::uname(&system) == 0) facts.driver = std::string("linux ") + system.release;
  facts.memory_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
  facts.cores = usable_cores();
  return facts;
}

Buffer::Buffer(Buffer&& other) noexcept
    : backend_(other.backend_),
      context_(other.context_),
      buffer_(std::exchange(other.buffer_, nullptr)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(context_, other.context_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

Buffer::~Buffer() {
  if (buffer_ != nullptr) backend_->destroy(context_, buffer_);
}

Device::Device(const Wanted& wanted) : limit_given_(wanted.memory_bytes != 0) {
  check_name(wanted.device);
  if (wanted.device == "auto") {
    if (!open_any_gpu(wanted)) open_cpu(wanted, kernels::cpu());
  } else if (wanted.device == "cpu") {
    open_cpu(wanted, kernels::cpu());
  } else {
    open_named_gpu(wanted);
  }
}

Device::Device(const Wanted& wanted, const kernels::Backend& cpu)
    : limit_given_(wanted.memory_bytes != 0) {
  open_cpu(wanted, cpu);
}

void Device::open_cpu(const Wanted& wanted, const kernels::Backend& cpu) {
  backend_ = &cpu;
  facts_ = cpu_facts();
  kernels::Options options;
  options.threads = wanted.threads != 0 ? wanted.threads : facts_.cores;
  options.memory_limit = wanted.memory_bytes != 0 ? wanted.memory_bytes : most_of_memory();
  host_memory_limit_ = memory_limit_ = options.memory_limit;
  check(backend_->open(options, &context_));
}

kernels::Status Device::open_gpu(const Wanted& wanted, const kernels::Cuda& cuda,
                                 const CudaGpu& gpu, const std::string& driver) {
  backend_ = cuda.backend;
  facts_ = gpu_facts(gpu, driver, cuda.driver);
  host_memory_limit_ = most_of_memory();
  memory_limit_ = wanted.memory_bytes != 0 ? wanted.memory_bytes : facts_.memory_bytes / 10 * 9;
  return backend_->open({wanted.threads, wanted.memory_bytes, *gpu.place}, &context_);
}

bool Device::open_any_gpu(const Wanted& wanted) {
  const auto& cuda = kernels::cuda();
  if (cuda.backend == nullptr) return false;
  const auto listed = gpus();
  for (const auto& gpu : by_use(cuda_gpus(cuda, listed))) {
    if (open_gpu(wanted, cuda, gpu, listed.driver).code == kernels::Status::ok) return true;
  }
  return false;
}

void Device::open_named_gpu(const Wanted& wanted) {
  const auto& cuda = kernels::cuda();
  const auto listed = gpus();
  const auto list = cuda_gpus(cuda, listed);
  const auto status = open_gpu(wanted, cuda, find(list, wanted.device), listed.driver);
  if (status.code != kernels::Status::ok) {
    throw Error(Exit::no_device, wanted.device + " does not work: " + printable(status.text));
  }
}

const kernels::Network& Device::network() const {
  if (backend_->network != nullptr) return *backend_->network;
  throw Error(Exit::no_device, facts_.name + " cannot run language models yet", "--device cpu can");
}

Device::~Device() { backend_->close(context_); }

Buffer Device::create(std::uint64_t bytes) {
  kernels::Buffer* buffer = nullptr;
  check(backend_->create(context_, bytes, &buffer));
  return {backend_, context_, buffer};
}

Buffer Device::borrow(ByteView host) {
  kernels::Buffer* buffer = nullptr;
  check(backend_->borrow(context_, host.data(), host.size(), &buffer));
  return {backend_, context_, buffer};
}

void Device::download(const Buffer& buffer, std::uint8_t* host, std::uint64_t bytes) {
  call(&kernels::Backend::download, static_cast<const kernels::Buffer*>(buffer.get()),
       std::uint64_t{0}, static_cast<void*>(host), bytes);
}

void Device::check(kernels::Status status) {
  if (status.code == kernels::Status::ok) return;
  const std::string text = status.text == nullptr ? "the device failed" : status.text;
  if (status.code == kernels::Status::out_of_memory) {
    throw Error(Exit::no_device, "not enough device memory: " + text,
                "give the job more with [limits] memory, or use a device with more");
  }
  if (status.code == kernels::Status::missing) {
    throw Error(Exit::no_device, text,
                "install it, as CUDA's toolkit has it, or choose another profile");
  }
  throw Error(Exit::failure, text);
}

}  // namespace volt::device
