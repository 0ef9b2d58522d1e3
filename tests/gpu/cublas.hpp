// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "library.hpp"

/// What peers.cpp needs of cuBLAS and cuBLASLt 11 to 13, declared here because a machine may have
/// the libraries without their headers. Names and values are those of cublas_api.h and cublasLt.h;
/// handles and descriptors are pointers that only the libraries look into.
namespace volt::gpu {

constexpr int cublas_op_n = 0, cublas_op_t = 1;
constexpr int cublas_pedantic_math = 2;
constexpr int cublas_compute_32f = 68, cublas_compute_32i = 72;
constexpr int cuda_r_32f = 0, cuda_r_8i = 3, cuda_r_32i = 10, cuda_r_16bf = 14;
constexpr int cublaslt_matmul_desc_transa = 3, cublaslt_matmul_desc_transb = 4;
constexpr int cublaslt_matmul_pref_max_workspace_bytes = 1;

/// cublasLtMatmulHeuristicResult_t.
struct CublasLtChoice {
  std::uint64_t algorithm[8];
  std::size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(CublasLtChoice) == 96);

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

struct CublasLt {
  explicit CublasLt(const Library& library);
  int (*cublasLtCreate)(void** handle);
  int (*cublasLtDestroy)(void* handle);
  std::size_t (*cublasLtGetVersion)();
  int (*cublasLtMatmulDescCreate)(void** description, int compute_type, int scale_type);
  int (*cublasLtMatmulDescDestroy)(void* description);
  int (*cublasLtMatmulDescSetAttribute)(void* description, int attribute, const void* value,
                                        std::size_t bytes);
  int (*cublasLtMatrixLayoutCreate)(void** layout, int type, std::uint64_t rows, std::uint64_t cols,
                                    std::int64_t ld);
  int (*cublasLtMatrixLayoutDestroy)(void* layout);
  int (*cublasLtMatmulPreferenceCreate)(void** preference);
  int (*cublasLtMatmulPreferenceDestroy)(void* preference);
  int (*cublasLtMatmulPreferenceSetAttribute)(void* preference, int attribute, const void* value,
                                              std::size_t bytes);
  int (*cublasLtMatmulAlgoGetHeuristic)(void* handle, void* description, void* a, void* b, void* c,
                                        void* d, void* preference, int asked,
                                        CublasLtChoice* choices, int* given);
  int (*cublasLtMatmul)(void* handle, void* description, const void* alpha, const void* a,
                        void* layout_a, const void* b, void* layout_b, const void* beta,
                        const void* c, void* layout_c, void* d, void* layout_d,
                        const void* algorithm, void* workspace, std::size_t workspace_bytes,
                        void* stream);
};

}  // namespace volt::gpu
