// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "libvolt/device/device.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/run/tasks.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::run {

/// No GPU has run the operations of language models yet: but for the profile native, which only
/// they have, `auto` is the CPU, and a GPU must be named.
device::Wanted for_language_models(device::Wanted wanted, const schema::Job& job);

/// The inputs of a worker that computes with a language model: folders, "base", and files, "data".
/// A prover who can still write to them could show one content to the digest and another to the
/// computation; what is copied cannot change, and its digest is told. Weights are too large for
/// that: the parent looks at their stamps.
class ModelInputs {
 public:
  /// Of a request the files that are inputs of its job, opened or, but for weights, copied.
  ModelInputs(const Request& request, const schema::Job& job, bool copied);

  /// Those of a job's base, or of the tokenizer of a model that has none.
  lm::Files model_folder(const schema::Job& job) const {
    return folder(job.is_finetune() && job.finetune.model ? "tokenizer" : "base");
  }
  /// The files below an input that is a folder, by their paths there.
  lm::Files folder(std::string_view input) const;
  /// Empty when the job has none of this name.
  ByteView file(std::string_view input) const;
  void tell_digests(const Say& say) const;
  /// Once the weights are on the device: they are as large as what is made of them.
  void release() const;
  /// That a file, input or output, was read with this digest.
  static void tell_digest(std::string_view name, const Digest& sha256, const Say& say);

 private:
  std::map<std::string, host::Mapping, std::less<>> mappings_;
  std::map<std::string, Bytes, std::less<>> copies_;
};

}  // namespace volt::run
