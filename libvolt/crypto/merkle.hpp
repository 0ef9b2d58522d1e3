// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "libvolt/base/hex.hpp"

/// Merkle trees of RFC 9162 section 2.1: leaf SHA-256(0x00 || data), node SHA-256(0x01 || left ||
/// right), split at the largest power of two below the count, never a duplicated node. The root of
/// no leaves is SHA-256 of nothing.
namespace volt::crypto {

Digest leaf_digest(ByteView data);
Digest node_digest(const Digest& left, const Digest& right);

Digest merkle_root(std::span<const Digest> leaves);

/// The nodes that, with the leaves at `indices` (ascending, each once, below the count), give the
/// root: in the order of a depth-first walk, left before right.
std::vector<Digest> merkle_opening(std::span<const Digest> leaves,
                                   std::span<const std::uint64_t> indices);

/// How many nodes that opening has, without making it.
std::uint64_t merkle_opening_size(std::uint64_t count, std::span<const std::uint64_t> indices);

/// The root from an opening; nullopt when `nodes` has not exactly the nodes needed, or `indices`
/// are not ascending and below `count`, or `leaves` are not as many as `indices`.
std::optional<Digest> merkle_root_of_opening(std::uint64_t count,
                                             std::span<const std::uint64_t> indices,
                                             std::span<const Digest> leaves,
                                             std::span<const Digest> nodes);

}  // namespace volt::crypto
