// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/crypto/keys.hpp"

namespace volt::crypto {

std::string to_base64(ByteView bytes);
/// RFC 4648 section 4 with padding and canonical: the one text that to_base64 would give.
std::optional<Bytes> from_base64(std::string_view text);

inline constexpr std::string_view in_toto_payload = "application/vnd.in-toto+json";
inline constexpr std::string_view in_toto_statement = "https://in-toto.io/Statement/v1";

/// A Dead Simple Signing Envelope (secure-systems-lab/dsse, protocol.md). What is signed is
/// "DSSEv1 <length of type> <type> <length of payload> <payload>".
struct Envelope {
  struct Signature {
    std::string keyid;  ///< PublicKey::id(); a hint, never trusted
    Bytes der;
  };
  std::string payload_type;
  std::string payload;
  std::vector<Signature> signatures;

  /// Reads the JSON form. Throws Error (usage, or `code`) on anything unexpected: unknown members,
  /// no signature or more than 16, base64 that is not canonical.
  static Envelope parse(std::string_view json, std::string_view origin, Exit code = Exit::usage);
  /// The same for an envelope that must hold an in-toto statement; throws verification_failed.
  static Envelope parse_in_toto(std::string_view json, std::string_view origin);
  std::string json() const;

  Bytes signed_bytes() const;
  void sign(const SigningKey& key);
  /// True when one of the signatures is `key`'s.
  bool signed_by(const PublicKey& key) const;
  /// The key that the payload itself names, as DER. Throws Error (verification_failed) when that is
  /// no key, or has not signed.
  PublicKey check_signer(ByteView der, std::string_view origin) const;
};

}  // namespace volt::crypto
