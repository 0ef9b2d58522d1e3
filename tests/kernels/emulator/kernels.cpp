// SPDX-License-Identifier: Apache-2.0

// A file of CUDA kernels as C++ for the emulator; meson would take a .cu for CUDA.

#include VOLT_KERNELS
