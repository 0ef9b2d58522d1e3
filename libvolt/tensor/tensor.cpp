// SPDX-License-Identifier: Apache-2.0
#include "libvolt/tensor/tensor.hpp"

#include <array>
#include <cstddef>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/merkle.hpp"

namespace volt::tensor {
namespace {

struct Known {
  Dtype dtype;
  std::string_view name;
  std::uint64_t size;
};

// In the order of the enumerators, so that one can be the index.
constexpr std::array<Known, 13> known{{{Dtype::boolean, "bool", 1},
                                       {Dtype::u8, "u8", 1},
                                       {Dtype::i8, "i8", 1},
                                       {Dtype::u16, "u16", 2},
                                       {Dtype::i16, "i16", 2},
                                       {Dtype::u32, "u32", 4},
                                       {Dtype::i32, "i32", 4},
                                       {Dtype::u64, "u64", 8},
                                       {Dtype::i64, "i64", 8},
                                       {Dtype::f16, "f16", 2},
                                       {Dtype::bf16, "bf16", 2},
                                       {Dtype::f32, "f32", 4},
                                       {Dtype::f64, "f64", 8}}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < known.size(); ++i)
    if (static_cast<std::size_t>(known[i].dtype) != i) return false;
  return true;
}
static_assert(in_order());

const Known& entry(Dtype dtype) { return known[static_cast<std::size_t>(dtype)]; }

constexpr std::size_t max_extents = 8;
constexpr std::uint64_t max_bytes = std::uint64_t{1} << 62;

}  // namespace

std::string_view name_of(Dtype dtype) { return entry(dtype).name; }

std::optional<Dtype> dtype_of(std::string_view name) {
  for (const auto& one : known)
    if (one.name == name) return one.dtype;
  return std::nullopt;
}

std::uint64_t size_of(Dtype dtype) { return entry(dtype).size; }

std::uint64_t Description::elements() const {
  std::uint64_t product = 1;
  for (const auto extent : shape) product *= extent;
  return product;
}

void check(const Description& description, std::string_view origin) {
  if (description.shape.size() > max_extents)
    throw Error(Exit::usage,
                std::string(origin) + ": array has " + std::to_string(description.shape.size()) +
                    " dimensions, more than " + std::to_string(max_extents),
                "save it with a.reshape(...)");
  // An extent of 0 is left out, as NumPy does: the product of any of the others then fits too.
  std::uint64_t room = max_bytes / size_of(description.dtype);
  for (const auto extent : description.shape) {
    if (extent == 0) continue;
    if (extent > room)
      throw Error(Exit::usage, std::string(origin) + ": shape of " + to_text(description) +
                                   " takes more than 2^62 bytes");
    room /= extent;
  }
}

std::string to_text(const Description& description) {
  std::string text = std::string(name_of(description.dtype)) + " [";
  for (std::size_t i = 0; i < description.shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(description.shape[i]);
  return text + "]";
}

std::string pages_header(const Description& description) {
  std::string text = "volt-pages/1 " + std::string(name_of(description.dtype));
  for (const auto extent : description.shape) text += " " + std::to_string(extent);
  return text;
}

Digest pages_root(const Description& description, const std::vector<Digest>& pages) {
  std::vector<Digest> leaves;
  leaves.reserve(pages.size() + 1);
  leaves.push_back(crypto::leaf_digest(as_bytes(pages_header(description))));
  leaves.insert(leaves.end(), pages.begin(), pages.end());
  return crypto::merkle_root(leaves);
}

}  // namespace volt::tensor
