// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

/// What the tests tell the library of fake_cublaslt.cpp and what it saw, by its one symbol of its
/// own, `fake_cublaslt`.
struct FakeCublasLt {
  int fail_create = 0;       ///< what cublasLtCreate comes to
  bool has_nothing = false;  ///< no product is offered

  int objects = 0;              ///< handles, descriptors, layouts and preferences that there are
  int asked = 0;                ///< how often a product was asked for
  std::size_t workspace = 0;    ///< bytes that the last one might have
  unsigned alignment[4] = {};   ///< of A, B, C and D, that the last one was told
  const char* wrong = nullptr;  ///< the first thing that the library would not have borne
};
