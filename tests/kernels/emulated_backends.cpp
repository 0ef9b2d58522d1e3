// SPDX-License-Identifier: Apache-2.0

// Backends that are the CUDA backend but for the GPU: the same engine and kernels, in the emulator,
// on memory of the host that is only reached as a GPU's would be.

#include "kernels/context_cuda.hpp"
#include "kernels/network_engine.hpp"
#include "support.hpp"

namespace volt::kernels {

// As kernels/operations_cuda.hpp declares it, once per capability.
namespace emulated_75 {
Engine cuda_engine(const Store& store);
}
namespace emulated_80 {
Engine cuda_engine(const Store& store);
}

namespace test {
namespace {

const Store store = {
    "the GPU",
    false,
    host_store.take,
    host_store.release,
    host_store.upload,
    host_store.download,
    host_store.copy,
    host_store.begin,
    [](Context& context) { return cuda_context(context).told(); },
};

struct Emulated final : CudaContext {
  using CudaContext::CudaContext;
  ~Emulated() override { drop_room(); }
};

template <Engine (*make)(const Store&)>
Status open(const Options& options, Context** context) {
  static const Engine engine = make(store);
  *context = new Emulated(engine, 1, options.memory_limit);
  return {};
}

}  // namespace

std::vector<Backend> fast_backends() {
  return {make_backend("emulated-75", open<emulated_75::cuda_engine>, &network_operations),
          make_backend("emulated-80", open<emulated_80::cuda_engine>, &network_operations)};
}

std::vector<Backend> all_backends() {
  std::vector<Backend> all = fast_backends();
  all.insert(all.begin(), cpu_reference());
  return all;
}

}  // namespace test
}  // namespace volt::kernels
