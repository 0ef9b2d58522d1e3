// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/lm/architecture.hpp"
#include "libvolt/lm/parameters.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::lm {

/// A model folder's files, as Hugging Face names them: whoever reads a model is given these, and
/// opens nothing. The bytes must outlive all that is made of them.
using Files = std::map<std::string, ByteView>;

/// The names of the files that a model folder is read from: "config.json", and "model.safetensors"
/// or else "model.safetensors.index.json" with the shards that it names. Throws Error: not_found,
/// local_io, usage (an index that is none).
std::vector<std::string> model_files(const host::Path& folder);

/// Those files, mapped read-only.
class Folder {
 public:
  explicit Folder(const host::Path& folder);

  Files files() const;

 private:
  std::map<std::string, host::Mapping> mappings_;
};

/// A parameter where it lies in a file: row-major, little-endian, and not aligned.
struct Weight {
  std::string name;  ///< in its file
  std::string file;
  tensor::Description description;  ///< f32, bf16 or f16
  ByteView bytes;
};
using Weights = std::map<Slot, Weight>;

/// Throws Error: not_found (no config.json), and as parse_architecture().
Architecture read_architecture(const Files& files);

/// Finds every parameter of `architecture`, with or without its family's prefix. Nothing of the
/// elements is read, but for a head that lies beside the embedding it is tied to: it must be the
/// same. Throws Error: not_found (no such file), usage naming the file and the tensor that is
/// missing, one too many, of another shape than config.json says, of another dtype, or in two
/// files.
Weights find_weights(const Files& files, const Architecture& architecture);

/// A weight's elements, widened: all of them, or [first, first + to.size()).
std::vector<float> floats(const Weight& weight);
void read_floats(const Weight& weight, std::uint64_t first, std::span<float> to);

/// Throws Error (usage) naming the first element that is NaN or infinite. Reads it all.
void refuse_non_finite(const Weight& weight);

/// Reads a model.safetensors.index.json: the file of each tensor. A file is a plain name that ends
/// with ".safetensors". Throws Error (usage) naming `origin`.
std::map<std::string, std::string> parse_index(std::string_view text, std::string_view origin);

}  // namespace volt::lm
