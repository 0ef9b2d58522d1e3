// SPDX-License-Identifier: Apache-2.0
#include "driver.hpp"

#include <dlfcn.h>

namespace volt::kernels {
namespace {

constexpr const char* folders[]{
    "",                            // wherever the loader looks
    "/usr/lib64/",                 // Red Hat, SUSE
    "/usr/lib/x86_64-linux-gnu/",  // Debian, and what NVIDIA mounts into containers
    "/usr/local/nvidia/lib64/",    // Google Kubernetes Engine
    "/usr/lib/wsl/lib/",           // Windows
    "/run/opengl-driver/lib/",     // NixOS
    "/usr/local/cuda/lib64/",      // a toolkit
};

}  // namespace

DriverLibrary load_driver_library(const std::string& name) {
  DriverLibrary library;
  for (const std::string folder : folders) {
    const std::string path = folder + name;
    library.handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library.handle != nullptr) return {library.handle, {}};
    const std::string why = ::dlerror();
    const bool absent = why.starts_with(path + ": cannot open shared object file: No such file");
    if (!absent && library.why.empty()) library.why = why;
  }
  return library;
}

void* find_symbol(const DriverLibrary& library, const char* symbol) {
  return ::dlsym(library.handle, symbol);
}

}  // namespace volt::kernels
