// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/key_store.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::crypto {
namespace {

bool is_secret(std::string_view pem) {
  return pem.find("PRIVATE KEY-----") != std::string_view::npos;
}

void check_name(std::string_view name) {
  const bool plain =
      !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      });
  if (name == "you") throw Error(Exit::usage, "\"you\" is what volt calls your own key");
  if (!plain) {
    throw Error(Exit::usage, "\"" + printable(name) + "\" is no name for a key",
                "use lower-case letters, digits, '-' and '_', at most 63");
  }
}

}  // namespace

bool KeyStore::has_own() const { return host::exists(own_path()); }

SigningKey KeyStore::own() {
  if (!has_own()) {
    host::make_folder(folder_.parent_path());
    host::make_folder(folder_, 0700);
    // Two tools may come here at once: the second waits, and finds the first one's key.
    const auto lock = host::Lock::wait(folder_ / ".lock");
    if (!has_own()) host::write_file(own_path(), SigningKey::make().pem(), 0600);
  }
  return *own_if_any();
}

std::optional<SigningKey> KeyStore::own_if_any() const {
  if (!has_own()) return std::nullopt;
  struct stat facts {};
  if (::stat(own_path().c_str(), &facts) != 0) throw_system(errno, "cannot examine the key file");
  if ((facts.st_mode & 077) != 0) {
    throw Error(Exit::local_io, "others may read the key file " + own_path().string(),
                "chmod 600 " + own_path().string());
  }
  return during("reading " + own_path().string(),
                [&] { return SigningKey::from_pem(host::read_file(own_path(), max_pem_bytes)); });
}

std::string KeyStore::import(std::string_view pem, std::string_view name) {
  host::make_folder(folder_.parent_path());
  host::make_folder(folder_, 0700);
  if (is_secret(pem)) {
    const auto key = SigningKey::from_pem(pem);
    if (has_own() && own().public_key().id() != key.public_key().id()) {
      throw Error(Exit::conflict, "there is a key of your own already",
                  "move " + own_path().string() + " away to replace it");
    }
    host::write_file(own_path(), key.pem(), 0600);
    return key.public_key().id();
  }
  const auto key = PublicKey::from_pem(pem);
  if (name.empty()) {
    throw Error(Exit::usage, "somebody's public key needs a name", "give --name NAME");
  }
  check_name(name);
  const auto path = folder_ / "known" / (std::string(name) + ".pem");
  if (host::exists(path) &&
      PublicKey::from_pem(host::read_file(path, max_pem_bytes)).id() != key.id()) {
    throw Error(Exit::conflict, "another key is known as " + std::string(name),
                "choose another --name, or remove " + path.string());
  }
  host::make_folder(path.parent_path());
  host::write_file(path, key.pem());
  return key.id();
}

std::vector<KeyStore::Known> KeyStore::known() const {
  std::vector<Known> keys;
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "known", absent)) {
    if (entry.path().extension() != ".pem") continue;
    keys.push_back({entry.path().stem().string(),
                    PublicKey::from_pem(host::read_file(entry.path(), max_pem_bytes))});
  }
  std::sort(keys.begin(), keys.end(),
            [](const Known& a, const Known& b) { return a.name < b.name; });
  return keys;
}

std::optional<std::string> KeyStore::name_of(const PublicKey& key) const {
  if (const auto own_key = own_if_any(); own_key && own_key->public_key().id() == key.id()) {
    return "you";
  }
  for (const auto& entry : known()) {
    if (entry.key.id() == key.id()) return entry.name;
  }
  return std::nullopt;
}

PublicKey KeyStore::find(std::string_view text) const {
  const auto matches = [&](const PublicKey& key, std::string_view name) {
    return text == name || (text.size() >= 16 && key.id().starts_with(text));
  };
  if (const auto own_key = own_if_any(); own_key && matches(own_key->public_key(), "you")) {
    return own_key->public_key();
  }
  for (const auto& entry : known()) {
    if (matches(entry.key, entry.name)) return entry.key;
  }
  // A bare name is never looked for in the current folder, where a stranger may have put a file.
  const bool is_path = text.find('/') != std::string_view::npos || text.ends_with(".pem");
  if (is_path && host::exists(text)) {
    const auto pem = host::read_file(text, max_pem_bytes);
    return is_secret(pem) ? SigningKey::from_pem(pem).public_key() : PublicKey::from_pem(pem);
  }
  throw Error(Exit::not_found, "no key is known as \"" + printable(text) + "\"",
              "give a name or id that gpu-verify key show prints, or a PEM file");
}

}  // namespace volt::crypto
