// SPDX-License-Identifier: Apache-2.0

#include "libraries_cuda.hpp"

#include <string>

#include "dnn_attention.hpp"
#include "driver.hpp"
#include "lt_products.hpp"

namespace volt::kernels {
namespace {

constexpr std::uint64_t product_workspace = std::uint64_t{32} << 20;

// A library with its functions, looked for once by a process.
template <class Functions>
struct Found {
  explicit Found(std::initializer_list<const char*> names)
      : why_not(load_functions(names, functions)) {}
  Functions functions = {};
  const std::string why_not;
};

const Found<CublasLt>& find_cublaslt() {
  static const Found<CublasLt> found({"libcublasLt.so.13", "libcublasLt.so.12"});
  return found;
}

const Found<Cudnn>& find_cudnn() {
  static const Found<Cudnn> found({"libcudnn.so.9"});
  return found;
}

class NvidiaLibraries final : public Libraries {
 public:
  explicit NvidiaLibraries(CudaStream stream) : stream_(stream) {}

  Status multiply(const Product<std::uint16_t, float>& job, Scratch workspace) override {
    if (!products_) {
      products_.emplace(find_cublaslt().functions, find_cublaslt().why_not, stream_);
    }
    return products_->multiply(job, workspace);
  }

  std::optional<std::uint64_t> attention_bytes(const AttentionShape& shape) override {
    if (!attention_) {
      const bool found = find_cudnn().why_not.empty();
      attention_.emplace(found ? DnnAttention::open(find_cudnn().functions, stream_) : nullptr);
    }
    return *attention_ == nullptr ? std::nullopt : (*attention_)->bytes(shape);
  }

  Status attend(const AttentionShape& shape, const AttentionData& data) override {
    return (*attention_)->attend(shape, data);
  }

 private:
  const CudaStream stream_;
  std::optional<LtProducts> products_;
  std::optional<std::unique_ptr<DnnAttention>> attention_;  // looked for once
};

}  // namespace

std::unique_ptr<Libraries> nvidia_libraries(CudaStream stream) {
  return std::make_unique<NvidiaLibraries>(stream);
}

void multiply_by_library(CudaContext& cuda, const Product<std::uint16_t, float>& job) {
  if (job.k == 0) return;
  if (cuda.libraries == nullptr) {
    cuda.keep({Status::failed, "bf16 products need cuBLASLt"});
    return;
  }
  std::byte* const room = cuda.room(product_workspace);  // it may do without
  cuda.keep(cuda.libraries->multiply(job, {room, room == nullptr ? 0 : product_workspace}));
}

}  // namespace volt::kernels
