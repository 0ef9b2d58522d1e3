// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cublaslt.hpp"
#include "library.hpp"

/// What peers.cpp needs of cuBLAS 11 to 13, declared as kernels/cublaslt.hpp declares cuBLASLt.
namespace volt::gpu {

using kernels::cublas_compute_32f, kernels::cublas_compute_32i;
using kernels::cublas_op_n, kernels::cublas_op_t;
using kernels::cublaslt_matmul_desc_transa, kernels::cublaslt_matmul_desc_transb;
using kernels::cublaslt_matmul_pref_max_workspace_bytes;
using kernels::CublasLtChoice;
using kernels::cuda_r_16bf, kernels::cuda_r_32f, kernels::cuda_r_32i, kernels::cuda_r_8i;

constexpr int cublas_pedantic_math = 2;
struct Cublas {
  explicit Cublas(const Library& library);
  int (*cublasCreate)(void** handle);
  int (*cublasDestroy)(void* handle);
  int (*cublasGetVersion)(void* handle, int* version);
  int (*cublasSetMathMode)(void* handle, int mode);
  int (*cublasSgemm)(void* handle, int op_a, int op_b, int m, int n, int k, const float* alpha,
                     const void* a, int lda, const void* b, int ldb, const float* beta, void* c,
                     int ldc);
};

struct CublasLt : kernels::CublasLt {
  explicit CublasLt(const Library& library);
};

}  // namespace volt::gpu
