// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "cublaslt.hpp"
#include "matmul_cuda.hpp"

namespace volt::kernels {

/// Products by cuBLASLt on one stream. It is asked once for how to go about a product, and what it
/// chose is kept by form, extents, strides, alignments and workspace.
class LtProducts {
 public:
  /// `why_not`: there is no library, which each product then says.
  LtProducts(const CublasLt& library, std::string why_not, CudaStream stream);
  ~LtProducts();
  LtProducts(const LtProducts&) = delete;
  LtProducts& operator=(const LtProducts&) = delete;

  /// C += A B of form ab, abt or atb, sums in fp32; no extent is 0.
  Status multiply(const Product<std::uint16_t, float>& job, Scratch workspace);

 private:
  using Key = std::array<std::uint64_t, 11>;
  struct Plan {
    void *description = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;
    CublasLtChoice choice = {};
  };

  Status did(int status, const char* what);
  Status prepare(const Product<std::uint16_t, float>& job, const Key& key, Plan& plan);
  Status choose(const Key& key, Plan& plan);
  void forget(const Plan& plan);
  void forget_all();

  const CublasLt lt_;
  const std::string why_not_;
  const CudaStream stream_;
  void* handle_ = nullptr;
  std::map<Key, Plan> plans_;
};

}  // namespace volt::kernels
