// SPDX-License-Identifier: Apache-2.0
// libFuzzer: an adapter_config.json, a NUL and an adapter_model.safetensors are an adapter of a
// small model, whose tensors lie in that file and have the shapes of its matrices, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/adapter.hpp"

using namespace volt;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

lm::Architecture small() {
  lm::Architecture a;
  a.layers = 2;
  a.width = 8;
  a.heads = a.kv_heads = 2;
  a.head_width = 4;
  a.ff_width = 12;
  a.vocabulary = 10;
  a.context = 16;
  a.rope = lm::Rope{};
  return a;
}

void check(const lm::Adapter& adapter, ByteView file) {
  require(!adapter.tensors.empty() && adapter.tensors.size() == adapter.weights.size());
  require(adapter.scale > 0);
  for (std::size_t i = 0; i < adapter.tensors.size(); ++i) {
    const auto& weight = adapter.weights[i];
    require(weight.bytes.data() >= file.data() &&
            weight.bytes.data() + weight.bytes.size() <= file.data() + file.size());
    require(lm::floats(weight).size() == adapter.tensors[i].elements());
    require(adapter.lora.adapts(adapter.tensors[i].slot.part));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView all(data, size);
  const auto end = as_text(all).find('\0');
  const ByteView config = all.first(end == std::string_view::npos ? size : end);
  const ByteView file = all.subspan(end == std::string_view::npos ? size : end + 1);
  try {
    check(lm::read_adapter({{"adapter_config.json", config}, {"adapter_model.safetensors", file}},
                           small()),
          file);
  } catch (const Error& error) {
    require(error.code() == Exit::usage);
    require(!error.message().empty());
  }
  return 0;
}
