// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/matmul_cuda.hpp"

namespace volt::kernels::emulator {

/// The functions of kernels/matmul_cuda.hpp as compiled for one compute capability.
struct Products {
  const char* name;
  Status (*f32x)(CudaStream, const Product<float, float>&, Tile);
  std::uint64_t (*i8_scratch)(const Product<std::int8_t, std::int32_t>&);
  std::uint64_t (*i8x_scratch)(const QuantisedProduct&);
  Status (*i8)(CudaStream, const Product<std::int8_t, std::int32_t>&, Scratch, Tile);
  Status (*i8x)(CudaStream, const QuantisedProduct&, Scratch, Tile);
  std::uint64_t (*i8x2_scratch)(const LimbsProduct&);
  Status (*i8x2)(CudaStream, const LimbsProduct&, Scratch);
};

extern const Products products_75, products_80;

}  // namespace volt::kernels::emulator
