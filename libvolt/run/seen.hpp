// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "libvolt/host/files.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::run {

/// What a verifier remembers: the first trace root that a signer gave for a job, its inputs and an
/// attempt. A second root for the same attempt is a second try dressed as the first.
class Seen {
 public:
  explicit Seen(host::Path file) : file_(std::move(file)) {}

  /// What contradicts this receipt, in words; nullopt when nothing does, and then it is remembered.
  std::optional<std::string> contradiction(const schema::SignedReceipt& receipt);

 private:
  host::Path file_;
};

}  // namespace volt::run
