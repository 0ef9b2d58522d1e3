// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/hex.hpp"

/// Typed arrays in files: what they are, and where in the file their elements lie.
namespace volt::tensor {

enum class Dtype { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64 };

/// "f32", "i8", ...: the spelling in receipts and messages.
std::string_view name_of(Dtype dtype);
std::optional<Dtype> dtype_of(std::string_view name);
std::uint64_t size_of(Dtype dtype);  ///< bytes of an element

/// What a tensor is, without its elements.
struct Description {
  Dtype dtype = Dtype::f32;
  std::vector<std::uint64_t> shape;

  std::uint64_t elements() const;
  std::uint64_t bytes() const { return elements() * size_of(dtype); }
  bool operator==(const Description&) const = default;
};

/// Throws Error (usage) when the extents' product times the element size passes 2^62, or there are
/// more than 8 extents. To be called on every Description that comes from outside.
void check(const Description& description, std::string_view origin);

/// "f32 [512, 48]" for people.
std::string to_text(const Description& description);

/// The data of the leaf that precedes a tensor's pages in its digest (volt-receipt(5)):
/// "volt-pages/1 f32 512 48" in ASCII.
std::string pages_header(const Description& description);

/// A tensor inside a file: elements are row-major and little-endian.
struct Located {
  Description description;
  std::uint64_t offset = 0;  ///< bytes from the start of the file
};

/// The root over the header leaf and the leaf digests of the pages (SHA-256(0x00 || page), 4 KiB
/// each, the last one short).
Digest pages_root(const Description& description, const std::vector<Digest>& pages);

/// How many pages `bytes` take.
constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t page_count(std::uint64_t bytes) {
  return bytes / page_bytes + (bytes % page_bytes != 0);
}

}  // namespace volt::tensor
