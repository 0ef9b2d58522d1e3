// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <type_traits>

namespace volt::kernels {

/// A library of the NVIDIA driver or of a CUDA toolkit. It stays loaded, and whoever asks for it by
/// its name later, such as the CUDA runtime, is given this one.
struct DriverLibrary {
  void* handle = nullptr;
  std::string why;  ///< it cannot be loaded; empty when it is not there
};

/// Looks where every program would, and then where systems and clouds are known to put the driver,
/// and toolkits themselves: the loader of a release knows the system's ld.so.cache, if there is
/// one, and Debian's folders.
DriverLibrary load_driver_library(const std::string& name);

/// Null where the library lacks it.
void* find_symbol(const DriverLibrary& library, const char* symbol);

/// Sets `functions`, by their `each`, to those of the first library of `names` that there is;
/// returns a sentence that says why it could not, empty when it could.
template <class Functions>
std::string load_functions(std::initializer_list<const char*> names, Functions& functions) {
  std::string why;
  for (const char* const name : names) {
    const DriverLibrary library = load_driver_library(name);
    if (library.handle == nullptr) {
      why += (why.empty() ? "" : ", ") +
             (library.why.empty() ? std::string(name) + " is not here" : library.why);
      continue;
    }
    std::string lacks;
    functions.each([&](const char* symbol, auto*& function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
          find_symbol(library, symbol));
      if (function == nullptr && lacks.empty()) lacks = std::string(name) + " has no " + symbol;
    });
    return lacks;
  }
  return why;
}

}  // namespace volt::kernels
