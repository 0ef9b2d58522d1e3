// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "libvolt/base/hex.hpp"

struct evp_pkey_st;

namespace volt::crypto {

/// A P-256 public key.
class PublicKey {
 public:
  /// PEM "PUBLIC KEY" (SubjectPublicKeyInfo). Throws Error (usage) on anything but one P-256 key.
  static PublicKey from_pem(std::string_view pem);
  /// DER SubjectPublicKeyInfo with uncompressed point; anything else throws Error (usage).
  static PublicKey from_der(ByteView der);

  Bytes der() const;
  std::string pem() const;
  /// SHA-256 of der(), in hex: how volt names a key.
  const std::string& id() const { return id_; }
  /// ECDSA over SHA-256 of `message`; `signature` is DER.
  bool verify(ByteView message, ByteView signature) const;

 private:
  friend class SigningKey;
  explicit PublicKey(std::shared_ptr<evp_pkey_st> key);
  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
};

/// A P-256 key that signs. Its secret leaves only through pem().
class SigningKey {
 public:
  static SigningKey make();
  /// PEM PKCS#8 or SEC 1, unencrypted. Throws Error (usage) on anything but one P-256 key.
  static SigningKey from_pem(std::string_view pem);

  /// PEM PKCS#8, to be kept in a file of mode 0600.
  std::string pem() const;
  const PublicKey& public_key() const { return public_; }
  /// ECDSA over SHA-256 of `message`, as DER.
  Bytes sign(ByteView message) const;
  /// A secret that only the owner of this key has, one for each purpose.
  Digest secret_for(std::string_view purpose) const;

 private:
  explicit SigningKey(std::shared_ptr<evp_pkey_st> key);
  std::shared_ptr<evp_pkey_st> key_;
  PublicKey public_;
};

}  // namespace volt::crypto
