// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes are tensors that follow each other to the end of the file, or an Error of
// usage.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <set>

#include "libvolt/base/error.hpp"
#include "libvolt/tensor/safetensors.hpp"

using namespace volt;

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
  } catch (const Error& error) {
    if (error.code() != Exit::usage || error.message().empty()) std::abort();
  }
  return 0;
}
