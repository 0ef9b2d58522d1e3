// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/keys.hpp"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"

namespace volt::crypto {
namespace {

constexpr std::string_view make_hint =
    "openssl ecparam -name prime256v1 -genkey -noout makes such a key";

/// How every SubjectPublicKeyInfo of a P-256 key with named curve and uncompressed point begins;
/// the two coordinates of 32 bytes follow.
constexpr std::array<std::uint8_t, 27> spki_head{
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
constexpr std::size_t spki_size = spki_head.size() + 64;

/// Text from OpenSSL's queue of errors, which is left empty.
std::string openssl_says() {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return reason == nullptr ? "" : reason;
}

[[noreturn]] void refuse(std::string message, std::string_view hint = make_hint) {
  throw Error(Exit::usage, std::move(message), std::string(hint), openssl_says());
}

[[noreturn]] void broken(std::string message) {
  throw Error(Exit::failure, std::move(message), {}, openssl_says());
}

using Key = std::shared_ptr<EVP_PKEY>;
Key own(EVP_PKEY* key) { return {key, &EVP_PKEY_free}; }

struct Free {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

/// One "-----BEGIN name-----" block. What it held is wiped.
struct Block {
  std::string name;
  bool has_header = false;  // of encryption
  Bytes der;

  Block() = default;
  Block(Block&&) = default;
  Block& operator=(Block&&) = default;
  ~Block() { OPENSSL_cleanse(der.data(), der.size()); }
};

/// The blocks of a PEM text but for the "EC PARAMETERS" that openssl ecparam puts before a key (the
/// key names its curve itself); what stands between blocks is ignored, as OpenSSL does.
std::vector<Block> read_blocks(std::string_view pem) {
  constexpr std::size_t max_bytes = std::size_t{64} << 10;
  if (pem.size() > max_bytes) refuse("the PEM file is too long to be a key");
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) broken("cannot read a PEM text");
  std::vector<Block> blocks;
  for (;;) {
    char *name = nullptr, *header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    if (PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) {
      if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        refuse("the PEM file is damaged");
      }
      ERR_clear_error();
      return blocks;
    }
    Block block;
    block.name = name;
    block.has_header = *header != '\0';
    block.der.assign(data, data + size);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(size));
    if (block.name != "EC PARAMETERS") blocks.push_back(std::move(block));
  }
}

Block read_one(std::string_view pem, std::string_view what) {
  auto blocks = read_blocks(pem);
  if (blocks.empty()) refuse("the file has no PEM block, so it is no " + std::string(what));
  if (blocks.size() > 1) refuse("the PEM file has more than one key or certificate");
  return std::move(blocks.front());
}

/// SubjectPublicKeyInfo as OpenSSL writes it, which keeps the form of curve and point.
Bytes encode(EVP_PKEY* key) {
  unsigned char* data = nullptr;
  const int size = i2d_PUBKEY(key, &data);
  if (size < 0) broken("cannot encode a public key");
  Bytes der(data, data + size);
  OPENSSL_free(data);
  return der;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

bool is_p256(ByteView der) {
  return der.size() == spki_size && std::equal(spki_head.begin(), spki_head.end(), der.begin());
}

}  // namespace

PublicKey::PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {
  id_ = sha256(der()).hex();
}

PublicKey PublicKey::from_der(ByteView der) {
  ERR_clear_error();
  if (!is_p256(der)) {
    refuse("not a P-256 public key with named curve and uncompressed point");
  }
  const unsigned char* at = der.data();
  const Key key = own(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (!key) refuse("the public key is no point of P-256");
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!context || EVP_PKEY_public_check(context.get()) != 1) {
    refuse("the public key is no point of P-256");
  }
  const Bytes again = encode(key.get());
  if (!std::equal(again.begin(), again.end(), der.begin(), der.end())) {
    refuse("the public key is not in its one form of DER");
  }
  return PublicKey(key);
}

PublicKey PublicKey::from_pem(std::string_view pem) {
  ERR_clear_error();
  const Block block = read_one(pem, "public key");
  if (block.name.ends_with("PRIVATE KEY")) {
    refuse("the PEM file has a private key where a public key is wanted",
           "openssl pkey -in KEY -pubout writes its public key");
  }
  if (block.name != "PUBLIC KEY" || block.has_header) {
    refuse("the PEM file has \"" + printable(block.name) + "\", not \"PUBLIC KEY\"");
  }
  return from_der(block.der);
}

Bytes PublicKey::der() const { return encode(key_.get()); }

std::string PublicKey::pem() const {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), key_.get()) != 1) broken("cannot write a public key");
  return text_of(bio.get());
}

bool PublicKey::verify(ByteView message, ByteView signature) const {
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  if (!context || EVP_DigestVerifyInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr,
                                          key_.get(), nullptr) != 1) {
    broken("cannot verify a signature");
  }
  const int result = EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                      message.data(), message.size());
  ERR_clear_error();
  return result == 1;
}

// The public half is a key of its own, so that no copy of it holds the secret.
SigningKey::SigningKey(std::shared_ptr<evp_pkey_st> key)
    : key_(std::move(key)), public_(PublicKey::from_der(encode(key_.get()))) {}

SigningKey SigningKey::make() {
  const Key key = own(EVP_EC_gen("P-256"));
  if (!key) broken("cannot make a key");
  return SigningKey(key);
}

SigningKey SigningKey::from_pem(std::string_view pem) {
  ERR_clear_error();
  const Block block = read_one(pem, "private key");
  if (block.name == "ENCRYPTED PRIVATE KEY" || block.has_header) {
    refuse("the private key is encrypted",
           "openssl pkey -in KEY -out NEW writes it without a passphrase");
  }
  if (block.name != "PRIVATE KEY" && block.name != "EC PRIVATE KEY") {
    refuse("the PEM file has \"" + printable(block.name) + "\", not \"PRIVATE KEY\"");
  }
  const unsigned char* at = block.der.data();
  const Key key = own(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(block.der.size())));
  if (!key || at != block.der.data() + block.der.size()) refuse("the private key is damaged");
  ERR_clear_error();  // of the forms that were tried before the one that fits
  if (EVP_PKEY_is_a(key.get(), "EC") != 1 || !is_p256(encode(key.get()))) {
    refuse("not a P-256 private key with named curve and uncompressed point");
  }
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!context || EVP_PKEY_check(context.get()) != 1) {
    refuse("the private key does not fit its public key");
  }
  return SigningKey(key);
}

std::string SigningKey::pem() const {
  // OpenSSL wipes the memory of a BIO when it is freed.
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) != 1) {
    broken("cannot write a private key");
  }
  return text_of(bio.get());
}

Bytes SigningKey::sign(ByteView message) const {
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  Bytes signature(80);  // a DER signature of P-256 has at most 72 bytes
  std::size_t size = signature.size();
  if (!context ||
      EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key_.get(),
                            nullptr) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1) {
    broken("cannot sign");
  }
  signature.resize(size);
  return signature;
}

Digest SigningKey::secret_for(std::string_view purpose) const {
  std::string secret = pem();
  const Digest derived = hmac(as_bytes(secret), as_bytes(purpose));
  OPENSSL_cleanse(secret.data(), secret.size());
  return derived;
}

}  // namespace volt::crypto
