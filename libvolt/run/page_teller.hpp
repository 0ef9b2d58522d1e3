// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libvolt/run/operands.hpp"
#include "libvolt/run/tasks.hpp"

namespace volt::run {

/// Cuts a stream of bytes into pages and tells their leaf digests in order.
class PageTeller {
 public:
  PageTeller(Bench& bench, const Say& say) : bench_(bench), say_(say) {}

  /// Takes the next bytes; with `last` also the short page at the end.
  void add(ByteView bytes, bool last);

 private:
  Bench& bench_;
  const Say& say_;
  Bytes pending_;
};

}  // namespace volt::run
