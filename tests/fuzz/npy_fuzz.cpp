// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes are an array that lies inside the file, or an Error of usage.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/tensor/npy.hpp"

using namespace volt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto located = tensor::parse_npy({data, size}, "a.npy");
    const auto& description = located.description;
    if (located.offset > size || description.bytes() != size - located.offset) std::abort();
    // What volt writes for it must read back as the same.
    const std::string header = tensor::npy_header(description);
    Bytes again(header.begin(), header.end());
    again.insert(again.end(), data + located.offset, data + size);
    if (tensor::parse_npy(again, "b.npy").description != description) std::abort();
  } catch (const Error& error) {
    if (error.code() != Exit::usage || error.message().empty()) std::abort();
  }
  return 0;
}
