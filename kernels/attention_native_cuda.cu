// SPDX-License-Identifier: Apache-2.0

#include "libraries_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

bool attend_by_library(CudaContext&, const Attention<Checked>&) { return false; }
bool attend_by_library(CudaContext&, const AttentionBackward<Checked>&) { return false; }

}  // namespace VOLT_ISA
}  // namespace volt::kernels
