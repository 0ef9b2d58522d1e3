// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/error.hpp"
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
  /// Reads the tensor called `wanted` (empty: the only one) of an open .npy or .safetensors file.
  static Operand from_file(int fd, std::string_view name, std::string_view wanted);
  /// Reads the output of a run, which is a .npy file and nothing else. Throws Error
  /// (verification_failed).
  static Operand from_output(int fd, std::string_view name);
  static Operand from_seed(const schema::Matmul& job, const schema::Seeded& seeded,
                           std::string_view name, device::Device& device);

  const tensor::Description& description() const { return located_.description; }
  ByteView elements() const;

  std::vector<Digest> leaves(device::Device& device) const;
  schema::TensorFacts facts(device::Device& device) const;

 private:
  void align();

  tensor::Located located_;
  host::Mapping mapping_;
  Bytes made_;
};

/// Leaf digests of the pages of `bytes`.
std::vector<Digest> page_leaves(ByteView bytes, device::Device& device);

/// A task's job, device and operands: what every task begins with.
struct Setting {
  schema::Job job;
  device::Device device;

  explicit Setting(const Request& request);
  Operand operand(const Request& request, std::string_view name);
};

/// {"name":..., "dtype":..., "shape":[...], "pages":...}, as messages carry it.
doc::Value::Object to_members(std::string_view name, const schema::TensorFacts& facts);
schema::TensorFacts facts_of(const doc::Value& members);

}  // namespace volt::run
