// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "kernels/network.hpp"
#include "places.hpp"

/// Every operation of network.hpp with arguments of random shapes, in random places of memory.
namespace volt::kernels::test {

/// A matrix that an operation is given. Memory is in 32-bit words.
struct Argument {
  const char* name;  ///< as refusals call it
  bool written;
  Place place;
  std::vector<std::uint32_t> memory;
  std::uint64_t width = 4;  ///< bytes of an element
};

using Memories = std::vector<std::vector<std::uint32_t>>;

struct Operation {
  std::string name;
  std::vector<Argument> arguments;
  std::function<Status(const Network&, Context*, const std::vector<Matrix>&, float& told)> call;

  /// All that its arguments' memory holds afterwards, and the number told.
  Memories run(const Backend& backend, std::uint32_t threads) const;
};

enum class Size { small, shared };  ///< `shared`: as much as is worth sharing out among threads
enum class Oddity { none, some, many };

/// One of each operation, or several where it does several things.
std::vector<Operation> operations(Random& random, Size size, Oddity oddity);

/// Those that may write where they read, doing so.
std::vector<Operation> in_place(Random& random, Oddity oddity);

/// Attention and its backward pass alone, over `keys` keys.
std::vector<Operation> attentions(Random& random, std::uint64_t keys, Oddity oddity);

}  // namespace volt::kernels::test
