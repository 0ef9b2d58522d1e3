// SPDX-License-Identifier: Apache-2.0
#include "peers.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace volt::bench {
namespace {

void* open(const char* file) { return ::dlopen(file, RTLD_NOW | RTLD_GLOBAL); }

template <class Function>
void get(void* library, const char* symbol, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, symbol));
}

#if defined(__x86_64__)

using Vector = __m512 (*)(__m512);
Vector sleef_exp = nullptr, sleef_tanh = nullptr;

template <Vector& function>
__attribute__((target("avx512f"))) void each(const float* x, float* y, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; i += 16) {
    _mm512_storeu_ps(y + i, function(_mm512_loadu_ps(x + i)));
  }
}

#endif

}  // namespace

OpenBlas open_blas() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw")) ::setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
#endif
  OpenBlas blas;
  void* const library = open("libopenblas.so.0");
  if (library == nullptr) {
    blas.name = "no OpenBLAS";
    return blas;
  }
  const char* (*core)() = nullptr;
  const char* (*configuration)() = nullptr;
  get(library, "cblas_sgemm", blas.sgemm);
  get(library, "openblas_set_num_threads", blas.set_threads);
  get(library, "openblas_get_corename", core);
  get(library, "openblas_get_config", configuration);
  std::string version =
      configuration == nullptr ? "" : configuration();  // "OpenBLAS 0.3.21 NO_..."
  version = version.substr(0, version.find(' ', version.find(' ') + 1));
  blas.name = version + " (" + (core == nullptr ? "?" : core()) + ")";
  return blas;
}

OneDnn one_dnn() {
  OneDnn dnn;
  void* library = nullptr;
  for (const char* file : {"libdnnl.so.2", "libdnnl.so.3"}) {
    if (library == nullptr) library = open(file);
  }
  if (library == nullptr) {
    dnn.name = "no oneDNN";
    return dnn;
  }
  struct Version {
    int major, minor, patch;
  };
  const Version* (*version)() = nullptr;
  get(library, "dnnl_gemm_s8s8s32", dnn.gemm_s8s8s32);
  get(library, "dnnl_version", version);
  get(RTLD_DEFAULT, "omp_set_num_threads", dnn.set_threads);
  if (dnn.set_threads == nullptr || version == nullptr) {  // built for other threads than OpenMP's
    dnn.gemm_s8s8s32 = nullptr;
    dnn.name = "no oneDNN with OpenMP";
    return dnn;
  }
  const Version* const v = version();
  dnn.name = "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
             std::to_string(v->patch);
  return dnn;
}

Sleef sleef() {
  Sleef functions;
  functions.name = "no SLEEF";
#if defined(__x86_64__)
  void* const library = open("libsleef.so.3");
  if (library == nullptr || !__builtin_cpu_supports("avx512f")) return functions;
  functions.name = "SLEEF 3, u10, AVX-512";
  sleef_exp = reinterpret_cast<Vector>(::dlsym(library, "Sleef_expf16_u10avx512f"));
  sleef_tanh = reinterpret_cast<Vector>(::dlsym(library, "Sleef_tanhf16_u10avx512f"));
  if (sleef_exp != nullptr) functions.exp = each<sleef_exp>;
  if (sleef_tanh != nullptr) functions.tanh = each<sleef_tanh>;
#endif
  return functions;
}

double openssl_sha256(unsigned processes) {
  const std::string command = "openssl speed -mr -seconds 1 -bytes 4096 -multi " +
                              std::to_string(processes) + " -evp sha256 2>/dev/null";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return 0;
  double rate = 0;
  for (char line[256]; std::fgets(line, sizeof line, pipe) != nullptr;) {
    std::sscanf(line, "+F:%*d:sha256:%lf", &rate);  // the last one is of all processes
  }
  ::pclose(pipe);
  return rate;
}

}  // namespace volt::bench
