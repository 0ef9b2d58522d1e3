// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/model_inputs.hpp"

#include "libvolt/crypto/digest.hpp"

namespace volt::run {

using doc::Value;

device::Wanted for_language_models(device::Wanted wanted, const schema::Job& job) {
  if (wanted.device == "auto" && job.is_exact()) wanted.device = "cpu";
  return wanted;
}

ModelInputs::ModelInputs(const Request& request, const schema::Job& job, bool copied) {
  for (const auto& [name, fd] : request.files) {
    const std::string_view input = std::string_view(name).substr(0, name.find('/'));
    bool known = false;
    for (const auto& [one, unused] : job.inputs()) known = known || one == input;
    if (!known) continue;
    if (copied && !name.ends_with(".safetensors")) {
      copies_.emplace(name, host::read_whole(fd));
    } else {
      mappings_.emplace(name, host::Mapping(fd));
    }
  }
}

lm::Files ModelInputs::folder(std::string_view input) const {
  const std::string prefix = std::string(input) + "/";
  lm::Files files;
  const auto add = [&](const std::string& name, ByteView bytes) {
    if (name.starts_with(prefix)) files.emplace(name.substr(prefix.size()), bytes);
  };
  for (const auto& [name, mapping] : mappings_) add(name, mapping.bytes());
  for (const auto& [name, bytes] : copies_) add(name, bytes);
  return files;
}

ByteView ModelInputs::file(std::string_view input) const {
  if (const auto copy = copies_.find(input); copy != copies_.end()) return copy->second;
  const auto mapping = mappings_.find(input);
  return mapping == mappings_.end() ? ByteView() : mapping->second.bytes();
}

void ModelInputs::release() const {
  for (const auto& [name, mapping] : mappings_) mapping.release();
}

void ModelInputs::tell_digests(const Say& say) const {
  for (const auto& [name, bytes] : copies_) tell_digest(name, crypto::sha256(bytes), say);
}

void ModelInputs::tell_digest(std::string_view name, const Digest& sha256, const Say& say) {
  say(Value::Object{{"file", Value::Object{{"name", name}, {"sha256", sha256.hex()}}}});
}

}  // namespace volt::run
