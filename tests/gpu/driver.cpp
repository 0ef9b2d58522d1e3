// SPDX-License-Identifier: Apache-2.0

#include "driver.hpp"

#include <stdexcept>
#include <string>

namespace volt::gpu {

Driver::Driver(unsigned ordinal) : library({"libcuda.so.1"}) {
  if (!library.loaded()) throw std::runtime_error(library.error());
  library.get("cuGetErrorName", cuGetErrorName);
  library.get("cuInit", cuInit);
  library.get("cuDeviceGet", cuDeviceGet);
  library.get("cuDeviceGetAttribute", cuDeviceGetAttribute);
  library.get("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain);
  library.get("cuCtxSetCurrent", cuCtxSetCurrent);
  library.get("cuCtxSynchronize", cuCtxSynchronize);
  library.get("cuMemGetInfo_v2", cuMemGetInfo);
  library.get("cuMemAlloc_v2", cuMemAlloc);
  library.get("cuMemFree_v2", cuMemFree);
  library.get("cuMemcpyHtoD_v2", cuMemcpyHtoD);
  library.get("cuMemcpyDtoH_v2", cuMemcpyDtoH);
  library.get("cuMemcpyDtoDAsync_v2", cuMemcpyDtoDAsync);
  void* context = nullptr;
  check(cuInit(0), "cuInit");
  check(cuDeviceGet(&device, static_cast<int>(ordinal)), "cuDeviceGet");
  check(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
  check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
}

void Driver::check(int result, const char* what) const {
  if (result == 0) return;
  const char* name = nullptr;
  if (cuGetErrorName(result, &name) != 0 || name == nullptr) name = "an unknown error";
  throw std::runtime_error(std::string(what) + ": " + name);
}

int Driver::attribute(int which) const {
  int value = 0;
  check(cuDeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
  return value;
}

}  // namespace volt::gpu
