// SPDX-License-Identifier: Apache-2.0
// libFuzzer: a config.json, a NUL, an index or nothing, a NUL and a file of tensors are a model all
// of whose weights lie in that file and have the shapes of its architecture, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/folder.hpp"

using namespace volt;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// Takes what is before the first NUL, and that too.
ByteView take(ByteView& rest) {
  const auto end = as_text(rest).find('\0');
  const auto part = rest.first(end == std::string_view::npos ? rest.size() : end);
  rest = rest.subspan(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

void check(const lm::Weights& weights, const lm::Architecture& a, ByteView file) {
  const auto parameters = lm::parameters_of(a);
  require(weights.size() == parameters.size());
  for (const auto& parameter : parameters) {
    const auto& weight = weights.at(parameter.slot);
    require(weight.description.shape == parameter.shape);
    require(weight.bytes.size() == weight.description.bytes());
    require(weight.bytes.data() >= file.data() &&
            weight.bytes.data() + weight.bytes.size() <= file.data() + file.size());
    try {
      lm::refuse_non_finite(weight);
    } catch (const Error& error) {
      require(error.code() == Exit::usage);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteView rest(data, size);
  lm::Files files{{"config.json", take(rest)}};
  const ByteView index = take(rest);
  if (!index.empty()) files.emplace("model.safetensors.index.json", index);
  files.emplace(index.empty() ? "model.safetensors" : "a.safetensors", rest);
  try {
    const auto architecture = lm::read_architecture(files);
    check(lm::find_weights(files, architecture), architecture, rest);
  } catch (const Error& error) {
    require(error.code() == Exit::usage || error.code() == Exit::not_found);
    require(!error.message().empty());
  }
  return 0;
}
