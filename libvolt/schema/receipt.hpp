// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/crypto/dsse.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::schema {

inline constexpr std::string_view receipt_schema = "volt.receipt/1";
inline constexpr std::string_view receipt_predicate = "urn:volt:receipt/1";

/// Inputs or outputs of one receipt, at most.
inline constexpr std::size_t max_entries = 1024;

/// A tensor as a receipt pins it.
struct TensorFacts {
  tensor::Description description;
  Digest pages;  ///< root over header leaf and page leaves (volt-receipt(5))
  bool operator==(const TensorFacts&) const = default;
};

struct InputRecord {
  std::string name;
  std::optional<TensorFacts> tensor;  ///< of a matmul's operands
  std::optional<std::uint64_t> seed;  ///< made from it ...
  std::optional<Digest> sha256;       ///< ... or read from a file with this digest ...
  std::uint64_t bytes = 0;            ///< ... and this length
  std::optional<Digest> receipt;      ///< of the run that made the file

  /// What it was, however it was given: of its pages, or of the file.
  const Digest& identity() const { return tensor ? tensor->pages : *sha256; }
};

struct OutputRecord {
  std::string name;
  Digest sha256;
  std::uint64_t bytes = 0;
  std::optional<TensorFacts> tensor;
};

/// The signed statement: this job, these inputs, these outputs, this trace, by this key. See
/// volt-receipt(5).
struct Receipt {
  std::vector<OutputRecord> outputs;
  Digest job;  ///< SHA-256 of job.json
  std::vector<InputRecord> inputs;
  std::string workload;  ///< "matmul/1", "command/1"
  std::string profile;   ///< "f32x/1"; of a command "none"
  Digest trace_root;
  std::uint64_t units = 0;
  std::uint64_t attempt = 1;
  std::uint64_t retention_s = 0;

  // What the signer says of itself and nothing checks.
  std::string started, ended;  ///< RFC 3339, UTC
  std::uint64_t elapsed_ns = 0;
  std::uint64_t peak_memory_bytes = 0;
  std::string backend, device, driver;
  std::string sandbox = "none";
  std::string tool;  ///< "gpu-run 0.1.0"

  Bytes signer;  ///< DER of the public key

  const OutputRecord* output(std::string_view name) const;
  const InputRecord* input(std::string_view name) const;
};

/// Files by name as sha256sum(1) lists them: a digest of this text stands for all of them. The
/// trace of a command has it as its one leaf, over the outputs; a folder among the inputs is pinned
/// by it.
std::string manifest(const std::map<std::string, Digest>& files);

/// The in-toto statement: what becomes an envelope's payload, canonical.
std::string to_payload(const Receipt& receipt);

/// Reads a payload. Everything is refused that volt would not have written: unknown members,
/// counts that contradict each other, a payload that is not canonical. Throws Error
/// (verification_failed) naming `origin`.
Receipt parse_receipt(std::string_view payload, std::string_view origin);

/// A receipt whose signature was checked against the key that it names. Whose key that is, is
/// another question.
struct SignedReceipt {
  Receipt receipt;
  std::string payload;
  crypto::PublicKey signer;

  Digest digest() const;  ///< SHA-256 of the payload: how other documents name this receipt
};

/// Reads an envelope and checks its signature. Throws Error (verification_failed).
SignedReceipt open_receipt(std::string_view envelope, std::string_view origin);

/// Largest receipt, challenge or job.json that is read.
inline constexpr std::size_t max_document_bytes = std::size_t{1} << 20;

}  // namespace volt::schema
