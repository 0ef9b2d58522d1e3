// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/merkle.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"

namespace volt::crypto {
namespace {

using Indices = std::span<const std::uint64_t>;

/// Leaves of the left child of a node over `count` > 1 leaves.
std::uint64_t left_count(std::uint64_t count) { return std::bit_floor(count - 1); }

/// How many of `indices` lie before `end`.
std::size_t before(Indices indices, std::uint64_t end) {
  return static_cast<std::size_t>(std::lower_bound(indices.begin(), indices.end(), end) -
                                  indices.begin());
}

bool valid(std::uint64_t count, Indices indices) {
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= count || (i != 0 && indices[i] <= indices[i - 1])) return false;
  }
  return true;
}

void demand_valid(std::uint64_t count, Indices indices) {
  if (!valid(count, indices)) {
    throw Error(Exit::failure, "the leaves to open are not in ascending order and in the tree");
  }
}

/// Calls `node(begin, count)` for the topmost subtrees without an opened leaf, left before right.
/// Recursion is as deep as the tree is high: 64 levels at most.
template <class Node>
void walk(std::uint64_t begin, std::uint64_t count, Indices indices, const Node& node) {
  if (indices.empty()) {
    node(begin, count);
  } else if (count > 1) {
    const std::uint64_t left = left_count(count);
    const std::size_t split = before(indices, begin + left);
    walk(begin, left, indices.first(split), node);
    walk(begin + left, count - left, indices.subspan(split), node);
  }
}

/// The way back: takes leaves and nodes in the order of the walk.
struct Rebuild {
  std::span<const Digest> leaves, nodes;
  bool missing = false;

  Digest take(std::span<const Digest>& from) {
    if (from.empty()) {
      missing = true;
      return {};
    }
    const Digest digest = from.front();
    from = from.subspan(1);
    return digest;
  }

  Digest root(std::uint64_t begin, std::uint64_t count, Indices indices) {
    if (missing) return {};
    if (indices.empty()) return take(nodes);
    if (count == 1) return take(leaves);
    const std::uint64_t left = left_count(count);
    const std::size_t split = before(indices, begin + left);
    const Digest first = root(begin, left, indices.first(split));
    return node_digest(first, root(begin + left, count - left, indices.subspan(split)));
  }
};

}  // namespace

Digest leaf_digest(ByteView data) {
  constexpr std::array<std::uint8_t, 1> mark{0x00};
  thread_local Sha256 hasher;
  return hasher.update(mark).update(data).finish();
}

Digest node_digest(const Digest& left, const Digest& right) {
  std::array<std::uint8_t, 65> input;
  input[0] = 0x01;
  std::copy(left.bytes.begin(), left.bytes.end(), input.begin() + 1);
  std::copy(right.bytes.begin(), right.bytes.end(), input.begin() + 33);
  return sha256(input);
}

Digest merkle_root(std::span<const Digest> leaves) {
  if (leaves.empty()) return sha256({});
  if (leaves.size() == 1) return leaves.front();
  const auto left = static_cast<std::size_t>(left_count(leaves.size()));
  const Digest first = merkle_root(leaves.first(left));
  return node_digest(first, merkle_root(leaves.subspan(left)));
}

std::vector<Digest> merkle_opening(std::span<const Digest> leaves,
                                   std::span<const std::uint64_t> indices) {
  demand_valid(leaves.size(), indices);
  std::vector<Digest> nodes;
  if (leaves.empty()) return nodes;
  walk(0, leaves.size(), indices, [&](std::uint64_t begin, std::uint64_t count) {
    nodes.push_back(merkle_root(
        leaves.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count))));
  });
  return nodes;
}

std::uint64_t merkle_opening_size(std::uint64_t count, std::span<const std::uint64_t> indices) {
  demand_valid(count, indices);
  std::uint64_t nodes = 0;
  if (count != 0) walk(0, count, indices, [&](std::uint64_t, std::uint64_t) { ++nodes; });
  return nodes;
}

std::optional<Digest> merkle_root_of_opening(std::uint64_t count,
                                             std::span<const std::uint64_t> indices,
                                             std::span<const Digest> leaves,
                                             std::span<const Digest> nodes) {
  if (!valid(count, indices) || leaves.size() != indices.size()) return std::nullopt;
  if (count == 0) return nodes.empty() ? std::optional(sha256({})) : std::nullopt;
  Rebuild rebuild{leaves, nodes};
  const Digest root = rebuild.root(0, count, indices);
  if (rebuild.missing || !rebuild.nodes.empty()) return std::nullopt;
  return root;
}

}  // namespace volt::crypto
