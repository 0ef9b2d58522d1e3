// SPDX-License-Identifier: Apache-2.0

// The shared module: GPUs, their memory, and the one symbol that is exported.

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "check.hpp"
#include "context_cuda.hpp"
#include "device_cuda.cuh"
#include "module.hpp"
#include "network_engine.hpp"
#include "operations_cuda.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t staging_bytes = std::uint64_t{8} << 20;
constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;  // of it, that one thread copies
constexpr unsigned most_copiers = 4;  // threads that together are about as fast as the bus

extern const Engine gpu_engine;

/// Memory comes from a pool of the driver, which grows and is given back at the end: what is freed
/// on the stream is there at once for what comes next on it. Pageable memory goes through two
/// pieces of pinned memory, one of which is copied while the other is on the bus.
struct Gpu : CudaContext {
  Gpu(const Options& options, unsigned threads)
      : CudaContext(gpu_engine, threads, options.memory_limit),
        device(static_cast<int>(options.device)) {}
  ~Gpu() override;

  Status open();
  bool did(cudaError_t error) {
    if (error == cudaSuccess) return true;
    keep(status_of(error));
    cudaGetLastError();  // or the next launch would tell it again
    return false;
  }
  bool need_staging();
  void copy(void* to, const void* from, std::uint64_t bytes);

  const int device;
  std::uint64_t total_bytes = 0;
  cudaMemPool_t memory = nullptr;
  std::byte* staging[2] = {};
  cudaEvent_t moved[2] = {};  // staging is free again
};

Gpu& gpu(Context& context) { return static_cast<Gpu&>(context); }

Status Gpu::open() {
  cudaMemPoolProps wanted = {};
  wanted.allocType = cudaMemAllocationTypePinned;
  wanted.location = {cudaMemLocationTypeDevice, device};
  std::uint64_t keep_all = ~std::uint64_t{0};
  std::size_t free_bytes = 0, all_bytes = 0;
  if (did(cudaSetDevice(device)) && did(cudaMemGetInfo(&free_bytes, &all_bytes)) &&
      did(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)) &&
      did(cudaMemPoolCreate(&memory, &wanted)) &&
      did(cudaMemPoolSetAttribute(memory, cudaMemPoolAttrReleaseThreshold, &keep_all)) &&
      did(cudaEventCreateWithFlags(&moved[0], cudaEventDisableTiming)) &&
      did(cudaEventCreateWithFlags(&moved[1], cudaEventDisableTiming))) {
    total_bytes = all_bytes;
    libraries = nvidia_libraries(stream);
    // Whether there is code for this GPU, and it runs, only doing something shows.
    if (std::byte* const some = room(16)) {
      keep(cuda_fill(stream, reinterpret_cast<float*>(some), Stream{4, 0, 0, 0}));
      did(cudaStreamSynchronize(stream));
    }
  }
  return told();
}

Gpu::~Gpu() {
  cudaSetDevice(device);
  libraries.reset();
  drop_room();
  if (stream != nullptr) cudaStreamSynchronize(stream);
  for (int i = 0; i < 2; ++i) {
    if (moved[i] != nullptr) cudaEventDestroy(moved[i]);
    if (staging[i] != nullptr) cudaFreeHost(staging[i]);
  }
  if (memory != nullptr) cudaMemPoolDestroy(memory);
  if (stream != nullptr) cudaStreamDestroy(stream);
}

bool Gpu::need_staging() {
  if (staging[1] != nullptr) return true;
  for (std::byte*& piece : staging) {
    if (piece != nullptr) continue;
    if (!did(cudaHostAlloc(reinterpret_cast<void**>(&piece), staging_bytes, 0))) return false;
  }
  return true;
}

void Gpu::copy(void* to, const void* from, std::uint64_t bytes) {
  pool.each((bytes - 1) / piece_bytes + 1, true, [=](std::uint64_t i) {
    const std::uint64_t at = i * piece_bytes;
    std::memcpy(static_cast<std::byte*>(to) + at, static_cast<const std::byte*>(from) + at,
                std::min(piece_bytes, bytes - at));
  });
}

// ---- the store

std::byte* take_once(Gpu& gpu, std::uint64_t bytes) {
  void* data = nullptr;
  const cudaError_t error =
      cudaMallocFromPoolAsync(&data, std::max<std::uint64_t>(bytes, 1), gpu.memory, gpu.stream);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is told once
    return nullptr;
  }
  return gpu.did(error) ? static_cast<std::byte*>(data) : nullptr;
}

std::byte* take(Context& context, std::uint64_t bytes) {
  Gpu& g = gpu(context);
  if (bytes > g.total_bytes) return nullptr;
  std::byte* data = take_once(g, bytes);
  if (data == nullptr) {  // once more with what is not in use given back
    g.drop_room();
    g.did(cudaStreamSynchronize(g.stream));
    g.did(cudaMemPoolTrimTo(g.memory, 0));
    data = take_once(g, bytes);
  }
  if (data != nullptr) g.did(cudaMemsetAsync(data, 0, bytes, g.stream));
  return data;
}

void release(Context& context, std::byte* data) {
  gpu(context).did(cudaFreeAsync(data, gpu(context).stream));
}

void upload(Context& context, std::byte* to, const void* host, std::uint64_t bytes) {
  Gpu& g = gpu(context);
  if (!g.need_staging()) return;
  const auto* const from = static_cast<const std::byte*>(host);
  for (std::uint64_t at = 0, i = 0; at < bytes; at += staging_bytes, i ^= 1) {
    const std::uint64_t size = std::min(staging_bytes, bytes - at);
    if (!g.did(cudaEventSynchronize(g.moved[i]))) return;
    g.copy(g.staging[i], from + at, size);
    if (!g.did(cudaMemcpyAsync(to + at, g.staging[i], size, cudaMemcpyHostToDevice, g.stream)) ||
        !g.did(cudaEventRecord(g.moved[i], g.stream))) {
      return;
    }
  }
}

void download(Context& context, const std::byte* from, void* host, std::uint64_t bytes) {
  Gpu& g = gpu(context);
  if (!g.need_staging()) return;
  const std::uint64_t pieces = (bytes - 1) / staging_bytes + 1;
  const auto size_of = [&](std::uint64_t piece) {
    return std::min(staging_bytes, bytes - piece * staging_bytes);
  };
  for (std::uint64_t piece = 0; piece <= pieces; ++piece) {
    if (piece < pieces) {
      const std::uint64_t i = piece % 2;
      if (!g.did(cudaMemcpyAsync(g.staging[i], from + piece * staging_bytes, size_of(piece),
                                 cudaMemcpyDeviceToHost, g.stream)) ||
          !g.did(cudaEventRecord(g.moved[i], g.stream))) {
        return;
      }
    }
    if (piece != 0) {
      const std::uint64_t before = piece - 1, i = before % 2;
      if (!g.did(cudaEventSynchronize(g.moved[i]))) return;
      g.copy(static_cast<std::byte*>(host) + before * staging_bytes, g.staging[i], size_of(before));
    }
  }
}

void copy(Context& context, const std::byte* from, std::byte* to, std::uint64_t bytes) {
  gpu(context).did(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, gpu(context).stream));
}

void begin(Context& context) { gpu(context).did(cudaSetDevice(gpu(context).device)); }

Status end(Context& context) { return gpu(context).told(); }

constexpr Store store = {"the GPU", false, take, release, upload, download, copy, begin, end};
const Engine gpu_engine = cuda_engine(store);

// ---- the module

// No driver, and none that is new enough, are no GPUs; which of them it is, the versions tell.
Status count_devices(int& count) {
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess) return {};
  count = 0;
  cudaGetLastError();
  const bool none = error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
                    error == cudaErrorStubLibrary;
  return none ? Status{} : status_of(error);
}

DeviceInfo info_of(const cudaDeviceProp& properties) {
  DeviceInfo info = {};
  std::snprintf(info.name, sizeof info.name, "%.95s", properties.name);
  char* to = info.uuid + std::snprintf(info.uuid, sizeof info.uuid, "GPU");
  for (int i = 0; i < 16; ++i) {  // 8-4-4-4-12 digits
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
    to += std::snprintf(to, 3, "%02x", static_cast<unsigned char>(properties.uuid.bytes[i]));
  }
  info.memory_bytes = properties.totalGlobalMem;
  info.capability = static_cast<std::uint32_t>(10 * properties.major + properties.minor);
  info.multiprocessors = static_cast<std::uint32_t>(properties.multiProcessorCount);
  return info;
}

Status list_devices(DeviceInfo* devices, std::uint32_t capacity, std::uint32_t* count) {
  int found = 0;
  const Status status = count_devices(found);
  *count = static_cast<std::uint32_t>(found);
  for (std::uint32_t i = 0; i < std::min(capacity, *count); ++i) {
    cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, static_cast<int>(i));
    if (error != cudaSuccess) return status_of(error);
    devices[i] = info_of(properties);
  }
  return status;
}

Status open(const Options& options, Context** context) {
  *context = nullptr;
  int count = 0;
  if (const Status status = count_devices(count); status.code != Status::ok) return status;
  if (options.device >= static_cast<std::uint32_t>(count)) {
    return say(Status::invalid, "GPU %u is asked for, CUDA shows %d", options.device, count);
  }
  const unsigned cores =
      options.threads != 0 ? options.threads : std::thread::hardware_concurrency();
  try {
    auto* const made = new Gpu(options, std::clamp(cores, 1u, most_copiers));
    const Status status = made->open();
    if (status.code == Status::ok) {
      *context = made;
    } else {
      delete made;
    }
    return status;
  } catch (const std::exception& error) {
    return say(Status::failed, "could not open GPU %u: %s", options.device, error.what());
  }
}

std::uint32_t driver_version() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? static_cast<std::uint32_t>(version) : 0;
}

}  // namespace
}  // namespace volt::kernels

extern "C" __attribute__((visibility("default"))) const volt::kernels::Module*
volt_kernels_module() {
  using namespace volt::kernels;
  static const Backend backend = make_backend("cuda", open, &network_operations);
  static const Module module = {build_id(), &backend, driver_version(), CUDART_VERSION,
                                list_devices};
  return &module;
}
