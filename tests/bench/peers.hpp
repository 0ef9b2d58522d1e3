// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

/// Other people's kernels, loaded from where the system keeps them: nothing of ours links them. One
/// that is not there has null functions, and its name says why.
namespace volt::bench {

/// fp32 products: row-major is order 101, not transposed 111.
struct OpenBlas {
  std::string name;  ///< "OpenBLAS 0.3.21 (SkylakeX)"
  void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                const float* a, int stride_a, const float* b, int stride_b, float beta, float* c,
                int stride_c) = nullptr;
  void (*set_threads)(int) = nullptr;
};

/// It knows no CPU younger than itself: one that has AVX-512 is made to be taken for a SkylakeX,
/// unless OPENBLAS_CORETYPE says otherwise, so that it computes at its best.
OpenBlas open_blas();

/// int8 products into int32, row-major; 'N' is not transposed, the offset 'F' one for all of C.
struct OneDnn {
  std::string name;  ///< "oneDNN 2.6.3"
  int (*gemm_s8s8s32)(char transpose_a, char transpose_b, char offset_c, std::int64_t m,
                      std::int64_t n, std::int64_t k, float alpha, const std::int8_t* a,
                      std::int64_t stride_a, std::int8_t offset_a, const std::int8_t* b,
                      std::int64_t stride_b, std::int8_t offset_b, float beta, std::int32_t* c,
                      std::int64_t stride_c, const std::int32_t* offset) = nullptr;
  void (*set_threads)(int) = nullptr;
};

OneDnn one_dnn();

/// Functions over arrays whose length is a multiple of 16, by AVX-512, at most 1.0 ulp off.
struct Sleef {
  std::string name;  ///< "SLEEF 3.5, u10"
  void (*exp)(const float* x, float* y, std::uint64_t count) = nullptr;
  void (*tanh)(const float* x, float* y, std::uint64_t count) = nullptr;
};

Sleef sleef();

/// What `openssl speed` reaches with SHA-256 of 4 KiB pages in so many processes, in bytes a
/// second; 0 where there is no openssl.
double openssl_sha256(unsigned processes);

}  // namespace volt::bench
