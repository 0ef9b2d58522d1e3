// SPDX-License-Identifier: Apache-2.0

// The CUDA kernels as C++ for the emulator, all in one file that is compiled per capability; meson
// would take a .cu for CUDA.

#include "kernels/device_cuda.cuh"
#include "kernels/compare_cuda.cu"
#include "kernels/engine_cuda.cu"
#include "kernels/map_cuda.cu"
#include "kernels/quantise_cuda.cu"
#include "kernels/random_cuda.cu"
#include "kernels/select_cuda.cu"
#include "kernels/sha256_cuda.cu"
