// SPDX-License-Identifier: Apache-2.0

// The CUDA kernels as C++ for the emulator, all in one file that is compiled per capability; meson
// would take a .cu for CUDA.

#include "kernels/device_cuda.cuh"
