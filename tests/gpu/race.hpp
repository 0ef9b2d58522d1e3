// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "bench/measured.hpp"
#include "parity.hpp"

namespace volt::gpu {

/// Something that can be done again and again. A device may queue what is started.
struct Contestant {
  std::function<void(unsigned turn)> start;  ///< turns count up, to choose among operands
  std::function<void()> wait;                ///< until all that was started is done
};

/// Times both in turn and fills in the row's speeds, in units of `work` a second: `work` is what
/// one start does. Without a peer, `row.peer` stays empty.
void race(bench::Row& row, double work, const Contestant& ours,
          const std::optional<Contestant>& peer, Extent extent);

}  // namespace volt::gpu
