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
  each([&](const char* name, auto*& function) { library.get(name, function); });
}

}  // namespace volt::gpu
