// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// What we need of cuBLASLt 12 and 13, declared here because a machine may have the library without
/// its headers. Names and values are those of cublasLt.h; handles and descriptors are pointers that
/// only the library looks into, a status is 0 when all is well.
namespace volt::kernels {

constexpr int cublas_op_n = 0, cublas_op_t = 1;
constexpr int cublas_compute_32f = 68, cublas_compute_32i = 72;
constexpr int cuda_r_32f = 0, cuda_r_8i = 3, cuda_r_32i = 10, cuda_r_16bf = 14;
constexpr int cublaslt_matmul_desc_transa = 3, cublaslt_matmul_desc_transb = 4;
constexpr int cublaslt_matmul_pref_max_workspace_bytes = 1;
constexpr int cublaslt_matmul_pref_min_alignment_a_bytes = 5;
constexpr int cublaslt_matmul_pref_min_alignment_b_bytes = 6;
constexpr int cublaslt_matmul_pref_min_alignment_c_bytes = 7;
constexpr int cublaslt_matmul_pref_min_alignment_d_bytes = 8;

/// cublasLtMatmulHeuristicResult_t.
struct CublasLtChoice {
  std::uint64_t algorithm[8];
  std::size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(CublasLtChoice) == 96);

struct CublasLt {
  int (*cublasLtCreate)(void** handle);
  int (*cublasLtDestroy)(void* handle);
  std::size_t (*cublasLtGetVersion)();
  const char* (*cublasLtGetStatusString)(int status);
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

  /// with(name, function) for each of them, by their names in the library.
  template <class With>
  void each(With with) {
    with("cublasLtCreate", cublasLtCreate);
    with("cublasLtDestroy", cublasLtDestroy);
    with("cublasLtGetVersion", cublasLtGetVersion);
    with("cublasLtGetStatusString", cublasLtGetStatusString);
    with("cublasLtMatmulDescCreate", cublasLtMatmulDescCreate);
    with("cublasLtMatmulDescDestroy", cublasLtMatmulDescDestroy);
    with("cublasLtMatmulDescSetAttribute", cublasLtMatmulDescSetAttribute);
    with("cublasLtMatrixLayoutCreate", cublasLtMatrixLayoutCreate);
    with("cublasLtMatrixLayoutDestroy", cublasLtMatrixLayoutDestroy);
    with("cublasLtMatmulPreferenceCreate", cublasLtMatmulPreferenceCreate);
    with("cublasLtMatmulPreferenceDestroy", cublasLtMatmulPreferenceDestroy);
    with("cublasLtMatmulPreferenceSetAttribute", cublasLtMatmulPreferenceSetAttribute);
    with("cublasLtMatmulAlgoGetHeuristic", cublasLtMatmulAlgoGetHeuristic);
    with("cublasLtMatmul", cublasLtMatmul);
  }
};

}  // namespace volt::kernels
