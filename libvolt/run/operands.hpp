// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/event.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/run/tasks.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/receipt.hpp"
#include "libvolt/tensor/tensor.hpp"
#include "libvolt/workload/matmul.hpp"

/// The worker's view of tensors: from a file or from a seed, with the digests of their pages.
namespace volt::run {

/// A tensor in memory.
class Operand {
 public:
  /// Whether the file is looked at in place, or copied first: a prover who can still write to it
  /// could show one content to the digest and another to the replay.
  enum class Trust { in_place, copied };

  /// Reads the tensor called `wanted` (empty: the only one) of an open .npy or .safetensors file.
  static Operand from_file(int fd, std::string_view name, std::string_view wanted, Trust trust);
  /// Reads the output of a run, which is a .npy file and nothing else. Throws Error
  /// (verification_failed).
  static Operand from_output(int fd, std::string_view name, Trust trust);
  static Operand from_seed(const schema::Matmul& job, const schema::Seeded& seeded,
                           std::string_view name, device::Device& device);

  const tensor::Description& description() const { return located_.description; }
  ByteView elements() const;
  /// Of the whole file, where that was copied.
  const std::optional<Digest>& sha256() const { return sha256_; }

 private:
  void read(int fd, Trust trust);
  ByteView file() const;
  void align();

  tensor::Located located_;
  host::Mapping mapping_;
  Bytes copy_;  ///< used instead of the mapping when there is none
  std::optional<Digest> sha256_;
};

/// A worker's place of work: what every task begins with.
class Bench {
 public:
  Bench(const Request& request, Sink& sink);

  const schema::Job& job() const { return job_; }
  device::Device& device() { return device_; }

  Operand operand(const Request& request, std::string_view name, Operand::Trust trust);
  /// Leaf digests of the pages of `bytes`; `what` is for the progress.
  std::vector<Digest> leaves(ByteView bytes, std::string_view what);
  schema::TensorFacts facts(const Operand& operand, std::string_view what);

 private:
  schema::Job job_;
  device::Device device_;
  Sink& sink_;
};

/// {"name":..., "dtype":..., "shape":[...], "pages":...}, as messages carry it.
doc::Value::Object to_members(std::string_view name, const schema::TensorFacts& facts);
schema::TensorFacts facts_of(const doc::Value& members);

}  // namespace volt::run
