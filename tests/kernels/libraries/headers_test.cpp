// SPDX-License-Identifier: Apache-2.0

// What kernels/cublaslt.hpp declares is what the library's own header does. Built where that is.

#include <cublasLt.h>
#include <doctest/doctest.h>

#include <cstddef>

#include "../called_alike.hpp"
#include "kernels/cublaslt.hpp"

namespace volt::kernels {
namespace {

using test::called_alike;

static_assert(called_alike<int (*)(void*, long), cublasStatus_t (*)(cublasLtHandle_t, size_t)>);
static_assert(!called_alike<int (*)(void*, int), cublasStatus_t (*)(cublasLtHandle_t, size_t)>);
static_assert(!called_alike<int (*)(void*), cublasStatus_t (*)(cublasLtHandle_t, size_t)>);

#define VOLT_CALLED_ALIKE(function) \
  static_assert(called_alike<decltype(CublasLt::function), decltype(&::function)>)
VOLT_CALLED_ALIKE(cublasLtCreate);
VOLT_CALLED_ALIKE(cublasLtDestroy);
VOLT_CALLED_ALIKE(cublasLtGetVersion);
VOLT_CALLED_ALIKE(cublasLtGetStatusString);
VOLT_CALLED_ALIKE(cublasLtMatmulDescCreate);
VOLT_CALLED_ALIKE(cublasLtMatmulDescDestroy);
VOLT_CALLED_ALIKE(cublasLtMatmulDescSetAttribute);
VOLT_CALLED_ALIKE(cublasLtMatrixLayoutCreate);
VOLT_CALLED_ALIKE(cublasLtMatrixLayoutDestroy);
VOLT_CALLED_ALIKE(cublasLtMatmulPreferenceCreate);
VOLT_CALLED_ALIKE(cublasLtMatmulPreferenceDestroy);
VOLT_CALLED_ALIKE(cublasLtMatmulPreferenceSetAttribute);
VOLT_CALLED_ALIKE(cublasLtMatmulAlgoGetHeuristic);
VOLT_CALLED_ALIKE(cublasLtMatmul);
#undef VOLT_CALLED_ALIKE

static_assert(cublas_op_n == CUBLAS_OP_N && cublas_op_t == CUBLAS_OP_T);
static_assert(cublas_compute_32f == CUBLAS_COMPUTE_32F);
static_assert(cublas_compute_32i == CUBLAS_COMPUTE_32I);
static_assert(cuda_r_32f == CUDA_R_32F && cuda_r_8i == CUDA_R_8I && cuda_r_32i == CUDA_R_32I);
static_assert(cuda_r_16bf == CUDA_R_16BF);
static_assert(cublaslt_matmul_desc_transa == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(cublaslt_matmul_desc_transb == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(cublaslt_matmul_pref_max_workspace_bytes == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(cublaslt_matmul_pref_min_alignment_a_bytes ==
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(cublaslt_matmul_pref_min_alignment_b_bytes ==
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
static_assert(cublaslt_matmul_pref_min_alignment_c_bytes ==
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
static_assert(cublaslt_matmul_pref_min_alignment_d_bytes ==
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);

using Theirs = cublasLtMatmulHeuristicResult_t;
static_assert(sizeof(CublasLtChoice) == sizeof(Theirs));
static_assert(offsetof(CublasLtChoice, algorithm) == offsetof(Theirs, algo));
static_assert(offsetof(CublasLtChoice, workspace_bytes) == offsetof(Theirs, workspaceSize));
static_assert(offsetof(CublasLtChoice, state) == offsetof(Theirs, state));
static_assert(offsetof(CublasLtChoice, waves) == offsetof(Theirs, wavesCount));

TEST_CASE("what we declare of cuBLASLt is what its header does") {}  // it has been compiled

}  // namespace
}  // namespace volt::kernels
