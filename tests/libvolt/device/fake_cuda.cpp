// SPDX-License-Identifier: Apache-2.0
// A libvolt_cuda.so for machines without a GPU: the reference's arithmetic on memory that is only
// reached as a GPU's would be; what the profile `native` leaves to libraries is added up in another
// order, and attention rounded. The environment says what there is:
//
//   FAKE_CUDA_GPUS=2        how many GPUs CUDA shows (1); GPU i has the UUID of fake_nvml.cpp's
//   FAKE_CUDA_FIRST=1       the UUID that the first of them has, as CUDA_VISIBLE_DEVICES would (0)
//   FAKE_CUDA_BROKEN=1      as many of them, from the first on, cannot be opened (0)
//   FAKE_CUDA_TRAP=1        opening any of them ends the process
//   FAKE_CUDA_DRIVER=12040  the CUDA version that the driver serves (13000); 0: no driver
//   FAKE_CUDA_BUILD=text    another build than the program's
//   FAKE_CUDA_LIBRARIES=0   none that the profile `native` leaves products to (1)
//   FAKE_CUDA_BITS=3        how many bits behind the first the operands of such products have (7)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "kernels/check.hpp"
#include "kernels/exact.hpp"
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

Status missing;  // told at the end of the call

const Store store = [] {
  Store own = host_store;
  own.owner = "the GPU";
  own.is_host = false;  // what is borrowed is copied
  own.end = [](Context& context) {
    return missing.code == Status::ok ? host_store.end(context) : std::exchange(missing, {});
  };
  return own;
}();

// The sum of all products comes to C last, as a library's may.
bool matmul_bf16(Context&, const Product<std::uint16_t, float>& p) {
  if (number("FAKE_CUDA_LIBRARIES", 1) == 0) {
    missing = say(Status::missing, "bf16 products need cuBLASLt: libcublasLt.so.13 is not here");
    return true;
  }
  const auto mask = static_cast<std::uint16_t>(0xffffu << (7 - number("FAKE_CUDA_BITS", 7)));
  const auto at = [&](const View<const std::uint16_t>& x, bool k_is_rows, std::uint64_t lane,
                      std::uint64_t k) {
    const std::uint64_t place = k_is_rows ? k * x.stride + lane : lane * x.stride + k;
    return from_bf16(static_cast<std::uint16_t>(x.data[place] & mask));
  };
  for (std::uint64_t i = 0; i < p.m; ++i) {
    for (std::uint64_t j = 0; j < p.n; ++j) {
      float sum = 0;
      for (std::uint64_t k = p.k; k-- != 0;) {
        sum += at(p.a, k_is_rows_of_a(p.form), i, k) * at(p.b, k_is_rows_of_b(p.form), j, k);
      }
      p.c.data[i * p.c.stride + j] += sum;
    }
  }
  return true;
}

bool attention(Context& context, const Attention<Checked>& job) {
  if (!network_reference.attention(context, job)) return false;
  if (job.products != Products::rounded) return true;
  for (std::uint64_t i = 0; i < job.out.rows; ++i) {
    for (std::uint64_t j = 0; j < job.out.cols; ++j) {
      float& out = job.out.data[i * job.out.stride + j];
      out = from_bf16(to_bf16(out));
    }
  }
  return true;
}

const NetworkEngine network = [] {
  NetworkEngine own = network_reference;
  own.attention = attention;
  return own;
}();

const Engine engine = [] {
  Engine own = reference_engine;
  own.matmul_bf16 = matmul_bf16;
  own.network = &network;
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
