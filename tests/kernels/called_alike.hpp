// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

/// Whether a function that we declare of a library can be called as its header says.
namespace volt::kernels::test {

/// Whether a value is passed in the same way: as a pointer, or as a number of as many bytes.
template <class A, class B>
constexpr bool passed_alike = (std::is_pointer_v<A> && std::is_pointer_v<B>) ||
                              (std::is_void_v<A> && std::is_void_v<B>) ||
                              ((std::is_integral_v<A> ||
                                std::is_enum_v<A>)&&(std::is_integral_v<B> ||
                                                     std::is_enum_v<B>)&&sizeof(A) == sizeof(B));

template <class A, class B>
constexpr bool called_alike = false;
template <class A, class B, class... As, class... Bs>
constexpr bool called_alike<A (*)(As...), B (*)(Bs...)> = [] {
  if constexpr (sizeof...(As) != sizeof...(Bs)) {
    return false;
  } else {
    return passed_alike<A, B> && (passed_alike<As, Bs> && ...);
  }
}();

}  // namespace volt::kernels::test
