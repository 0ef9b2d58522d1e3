// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/crypto/keys.hpp"
#include "libvolt/host/files.hpp"

namespace volt::crypto {

/// No PEM file of one key is longer.
inline constexpr std::uint64_t max_pem_bytes = 16 * 1024;

/// The keys of a person: one of their own in `sign.pem` (mode 0600), made on first use, and those
/// of others, by name, in `known/NAME.pem`.
class KeyStore {
 public:
  explicit KeyStore(host::Path folder) : folder_(std::move(folder)) {}

  /// The own key; made, and the folder with it (mode 0700), if there is none. Throws Error
  /// (local_io) when others may read the file.
  SigningKey own();
  host::Path own_path() const { return folder_ / "sign.pem"; }

  /// Takes a PEM of a secret key as the own one (conflict when there is another already), or of a
  /// public key as that of `name`. Returns the key's id.
  std::string import(std::string_view pem, std::string_view name);

  struct Known {
    std::string name;
    PublicKey key;
  };
  std::vector<Known> known() const;
  /// "you", a known name, or nullopt.
  std::optional<std::string> name_of(const PublicKey& key) const;

  /// A key as people give one: an id (or at least 16 digits of its start) or a name of the store,
  /// or a PEM file. Throws Error (not_found, usage).
  PublicKey find(std::string_view text) const;

 private:
  bool has_own() const;
  std::optional<SigningKey> own_if_any() const;
  host::Path folder_;
};

}  // namespace volt::crypto
