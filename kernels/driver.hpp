// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace volt::kernels {

/// A library of the NVIDIA driver. It stays loaded, and whoever asks for it by its name later, such
/// as the CUDA runtime, is given this one.
struct DriverLibrary {
  void* handle = nullptr;
  std::string why;  ///< it cannot be loaded; empty when it is not there
};

/// Looks where every program would, and then where systems and clouds are known to put the driver:
/// the loader of a release knows the system's ld.so.cache, if there is one, and Debian's folders.
DriverLibrary load_driver_library(const std::string& name);

}  // namespace volt::kernels
