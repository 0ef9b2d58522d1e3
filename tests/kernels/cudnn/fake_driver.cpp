// SPDX-License-Identifier: Apache-2.0

// As much of libcuda.so.1 as cuDNN needs to compile a graph for a GPU that is not there: it loads
// what it has compiled, and asks for the kernels in it.

extern "C" {

int cuLibraryLoadData(void** library, ...) {
  *library = library;
  return 0;
}
int cuLibraryLoadFromFile(void** library, ...) { return cuLibraryLoadData(library); }
int cuLibraryGetKernel(void** kernel, void*, const char*) {
  *kernel = kernel;
  return 0;
}
int cuKernelGetFunction(void** function, void* kernel) {
  *function = kernel;
  return 0;
}
int cuGetErrorName(int, const char** text) {
  *text = "an error";
  return 0;
}
int cuGetErrorString(int, const char** text) { return cuGetErrorName(0, text); }

#define VOLT_NUMBER(name, value) \
  int name(int* to, ...) {       \
    *to = value;                 \
    return 0;                    \
  }
VOLT_NUMBER(cuDriverGetVersion, 13000)
VOLT_NUMBER(cuDeviceGetCount, 0)
VOLT_NUMBER(cuDeviceGet, 0)
VOLT_NUMBER(cuKernelGetAttribute, 0)
VOLT_NUMBER(cuOccupancyMaxPotentialClusterSize, 2)
#undef VOLT_NUMBER

#define VOLT_DONE(name) \
  int name() { return 0; }
VOLT_DONE(cuCtxGetCurrent)
VOLT_DONE(cuCtxGetLimit)
VOLT_DONE(cuCtxPopCurrent)
VOLT_DONE(cuCtxPushCurrent)
VOLT_DONE(cuKernelSetAttribute)
VOLT_DONE(cuLaunchCooperativeKernel)
VOLT_DONE(cuLaunchKernel)
VOLT_DONE(cuLaunchKernelEx)
VOLT_DONE(cuLibraryUnload)
VOLT_DONE(cuLinkAddData)
VOLT_DONE(cuLinkComplete)
VOLT_DONE(cuLinkCreate)
VOLT_DONE(cuLinkDestroy)
VOLT_DONE(cuStreamGetCtx)
#undef VOLT_DONE
}
