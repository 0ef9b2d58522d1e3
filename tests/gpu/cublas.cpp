// SPDX-License-Identifier: Apache-2.0

#include "cublas.hpp"

namespace volt::gpu {

Cublas::Cublas(const Library& library) {
  library.get("cublasCreate_v2", cublasCreate);
  library.get("cublasDestroy_v2", cublasDestroy);
  library.get("cublasGetVersion_v2", cublasGetVersion);
  library.get("cublasSetMathMode", cublasSetMathMode);
  library.get("cublasSgemm_v2", cublasSgemm);
}

CublasLt::CublasLt(const Library& library) {
  library.get("cublasLtCreate", cublasLtCreate);
  library.get("cublasLtDestroy", cublasLtDestroy);
  library.get("cublasLtGetVersion", cublasLtGetVersion);
  library.get("cublasLtMatmulDescCreate", cublasLtMatmulDescCreate);
  library.get("cublasLtMatmulDescDestroy", cublasLtMatmulDescDestroy);
  library.get("cublasLtMatmulDescSetAttribute", cublasLtMatmulDescSetAttribute);
  library.get("cublasLtMatrixLayoutCreate", cublasLtMatrixLayoutCreate);
  library.get("cublasLtMatrixLayoutDestroy", cublasLtMatrixLayoutDestroy);
  library.get("cublasLtMatmulPreferenceCreate", cublasLtMatmulPreferenceCreate);
  library.get("cublasLtMatmulPreferenceDestroy", cublasLtMatmulPreferenceDestroy);
  library.get("cublasLtMatmulPreferenceSetAttribute", cublasLtMatmulPreferenceSetAttribute);
  library.get("cublasLtMatmulAlgoGetHeuristic", cublasLtMatmulAlgoGetHeuristic);
  library.get("cublasLtMatmul", cublasLtMatmul);
}

}  // namespace volt::gpu
