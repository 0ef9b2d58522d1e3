// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes are tensors that follow each other to the end of the file, and that a header
// of volt's describes as well, or an Error of usage.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/tensor/safetensors.hpp"

using namespace volt;

namespace {

/// A header of the same tensors, with nothing where they lie, locates them in its own order.
void check_header(std::vector<tensor::Named> tensors) {
  std::string file = tensor::safetensors_header(tensors);
  std::uint64_t bytes = file.size();
  for (const auto& [name, description] : tensors) bytes += description.bytes();
  file.resize(bytes);
  const auto again = tensor::parse_safetensors(as_bytes(file), "again");
  if (again.size() != tensors.size()) std::abort();
  for (std::size_t i = 0; i < again.size(); ++i)
    if (again[i].first != tensors[i].first || again[i].second.description != tensors[i].second)
      std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto tensors = tensor::parse_safetensors({data, size}, "m.safetensors");
    std::set<std::string> names;
    std::optional<std::uint64_t> reached;
    for (const auto& [name, located] : tensors) {
      if (!names.insert(name).second) std::abort();
      const std::uint64_t bytes = located.description.bytes();
      if (located.offset > size || bytes > size - located.offset) std::abort();
      if (reached && *reached != located.offset) std::abort();
      reached = located.offset + bytes;
    }
    if (reached && *reached != size) std::abort();
    std::vector<tensor::Named> described;
    for (const auto& [name, located] : tensors) described.emplace_back(name, located.description);
    check_header(std::move(described));
  } catch (const Error& error) {
    if (error.code() != Exit::usage || error.message().empty()) std::abort();
  }
  return 0;
}
