// SPDX-License-Identifier: Apache-2.0

#include "products.hpp"

namespace volt::kernels::emulator {

#if VOLT_EMULATED == 75
const Products products_75 = {"7.5",
#else
const Products products_80 = {"8.0",
#endif
                              cuda_matmul_f32x,
                              scratch_bytes,
                              scratch_bytes,
                              cuda_matmul_i8,
                              cuda_matmul_i8x,
                              scratch_bytes,
                              cuda_matmul_i8x2};

}  // namespace volt::kernels::emulator
