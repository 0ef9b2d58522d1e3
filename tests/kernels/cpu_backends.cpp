// SPDX-License-Identifier: Apache-2.0

#include "kernels/variants.hpp"
#include "support.hpp"

namespace volt::kernels::test {

std::vector<Backend> fast_backends() {
  std::vector<Backend> all(cpu_variants().begin(), cpu_variants().end());
  all.push_back(cpu());
  return all;
}

std::vector<Backend> all_backends() {
  std::vector<Backend> all = fast_backends();
  all.insert(all.begin(), cpu_reference());
  return all;
}

}  // namespace volt::kernels::test
