// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "library.hpp"

namespace volt::gpu {

/// The few functions of libcuda.so.1 that a peer needs, on one GPU's primary context, which is also
/// the CUDA runtime's. Names are those of cuda.h, without the version; types are its ABI.
struct Driver {
  /// Throws std::runtime_error where there is no driver or no such GPU.
  explicit Driver(unsigned ordinal);

  /// Throws std::runtime_error with the driver's name of the error.
  void check(int result, const char* what) const;
  int attribute(int which) const;

  Library library;
  int device = 0;
  int (*cuGetErrorName)(int, const char**);
  int (*cuInit)(unsigned);
  int (*cuDeviceGet)(int*, int);
  int (*cuDeviceGetAttribute)(int*, int, int);
  int (*cuDevicePrimaryCtxRetain)(void**, int);
  int (*cuCtxSetCurrent)(void*);
  int (*cuCtxSynchronize)();
  int (*cuMemGetInfo)(std::size_t*, std::size_t*);
  int (*cuMemAlloc)(std::uint64_t*, std::size_t);
  int (*cuMemFree)(std::uint64_t);
  int (*cuMemcpyHtoD)(std::uint64_t, const void*, std::size_t);
  int (*cuMemcpyDtoH)(void*, std::uint64_t, std::size_t);
  int (*cuMemcpyDtoDAsync)(std::uint64_t, std::uint64_t, std::size_t, void* stream);
};

}  // namespace volt::gpu
