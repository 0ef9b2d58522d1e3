// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/crypto/dsse.hpp"
#include "libvolt/crypto/keys.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/host/files.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/receipt.hpp"
#include "libvolt/workload/matmul.hpp"

/// The dishonest prover of the test suite: it knows the whole of volt, owns a key, and signs what
/// it likes.
namespace volt::forge {

/// A good run, loaded, and what a forgery makes of it. What a forgery does not override is computed
/// again and signed, so that no digest gives it away.
class Forger {
 public:
  Forger(crypto::SigningKey own_key, host::Path folder, std::vector<std::string> arguments);

  // Changes that keep every digest consistent.
  void set_output(Bytes elements);  ///< c.npy, its digests, the trace root and the picture
  void set_output_file(Bytes bytes);
  void set_input(std::string_view name, const std::vector<float>& elements);
  void set_job(std::string fresh);
  void set_job(const schema::Job& changed);
  /// Replaces the one `old` in the payload, which is then signed as it stands.
  void edit_payload(std::string_view old, std::string_view fresh);
  /// Replaces the one `old` in job.json; the receipt names the new one.
  void edit_job(std::string_view old, std::string_view fresh);
  void edit_envelope(std::string_view old, std::string_view fresh);
  /// Keeps the old signature over the changed payload.
  void keep_signature();

  /// A * B by the job's own rules, from `a` and `b` as they are now.
  Bytes product();
  Bytes file(const std::string& name) const;  ///< of the good run
  std::string text(const std::string& name) const;
  const std::string& argument(std::size_t index) const { return arguments_.at(index); }

  std::string payload_text() const;
  std::string envelope_text() const;
  void write(const host::Path& to) const;

  crypto::SigningKey key;
  host::Path from;
  device::Device device;
  schema::Job job;
  schema::Receipt receipt;
  crypto::Envelope good;  ///< of the good run
  workload::Geometry geometry;
  Bytes a, b, c;  ///< elements

  std::map<std::string, std::optional<Bytes>> files;  ///< to be written; null: removed
  std::optional<std::string> payload, envelope;       ///< overrides
  std::optional<crypto::Envelope> unsigned_edit;      ///< old signatures over another payload

 private:
  Bytes elements_of(std::string_view name, const schema::Input& input);
  std::vector<std::string> arguments_;
};

struct Forgery {
  std::string_view name;
  std::function<void(Forger&)> forge;
};

/// Wrong products: every digest is right, and only computing tells.
std::span<const Forgery> outputs();
/// Receipts that say something else than the run does.
std::span<const Forgery> receipts();
/// Documents that no honest tool writes.
std::span<const Forgery> documents();

/// A forgery of a single file, a challenge or a proof; the result is its bytes.
struct FileForgery {
  std::string_view name;
  std::function<std::string(Forger&)> forge;
};
std::span<const FileForgery> proofs();

std::string replaced(std::string_view text, std::string_view old, std::string_view fresh);

/// Little-endian floats of `bytes`, and back.
std::vector<float> floats(ByteView bytes);
Bytes bytes_of(const std::vector<float>& values);

/// A matrix with constant antidiagonals: cheap to multiply by, so a cheat would like it for an
/// input that has to be random.
std::vector<float> hankel(std::uint64_t rows, std::uint64_t cols);

}  // namespace volt::forge
