// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/keys.hpp"

#include <doctest/doctest.h>

#include "libvolt/crypto/digest.hpp"
#include "tests/libvolt/crypto/openssl.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::crypto;

namespace {

std::string public_complaint(const std::string& pem) {
  return message_of([&] { PublicKey::from_pem(pem); });
}
std::string private_complaint(const std::string& pem) {
  return message_of([&] { SigningKey::from_pem(pem); });
}

}  // namespace

TEST_CASE("a key that was made signs, and its public key verifies that and nothing else") {
  const SigningKey key = SigningKey::make();
  const PublicKey& who = key.public_key();
  const Bytes signature = key.sign(as_bytes("message"));
  CHECK(who.verify(as_bytes("message"), signature));
  CHECK_FALSE(who.verify(as_bytes("massage"), signature));
  CHECK_FALSE(who.verify(as_bytes("message"), {}));
  CHECK_FALSE(SigningKey::make().public_key().verify(as_bytes("message"), signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    Bytes bent = signature;
    bent[i] ^= 1;
    CHECK_FALSE(who.verify(as_bytes("message"), bent));
  }
  Bytes longer = signature;
  longer.push_back(0);
  CHECK_FALSE(who.verify(as_bytes("message"), longer));
  CHECK(who.verify({}, key.sign({})));
}

TEST_CASE("keys come back the same from PEM and DER") {
  const SigningKey key = SigningKey::make();
  const PublicKey& who = key.public_key();
  CHECK(who.der().size() == 91);
  CHECK(who.id() == sha256(who.der()).hex());
  CHECK(PublicKey::from_der(who.der()).id() == who.id());
  CHECK(PublicKey::from_pem(who.pem()).der() == who.der());
  CHECK(who.pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
  CHECK(key.pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
  const SigningKey again = SigningKey::from_pem(key.pem());
  CHECK(again.public_key().id() == who.id());
  CHECK(again.pem() == key.pem());
}

TEST_CASE("keys and signatures go to and fro between volt and the openssl command") {
  const OpenSsl openssl;
  REQUIRE(openssl.run("ecparam -name prime256v1 -genkey -out sec1.pem"));
  REQUIRE(openssl.run("ecparam -name prime256v1 -genkey -noout -out other.pem"));
  REQUIRE(openssl.run("pkey -in sec1.pem -out pkcs8.pem"));
  REQUIRE(openssl.run("pkey -in sec1.pem -pubout -out public.pem"));
  REQUIRE(openssl.run("pkey -in sec1.pem -pubout -outform DER -out public.der"));
  const SigningKey key = SigningKey::from_pem(openssl.read("sec1.pem"));
  const PublicKey who = PublicKey::from_pem(openssl.read("public.pem"));
  CHECK(key.public_key().id() == who.id());
  CHECK(SigningKey::from_pem(openssl.read("pkcs8.pem")).public_key().id() == who.id());
  CHECK(SigningKey::from_pem(openssl.read("other.pem")).public_key().id() != who.id());
  CHECK(who.pem() == openssl.read("public.pem"));
  CHECK(as_text(who.der()) == openssl.read("public.der"));
  CHECK(key.pem() == openssl.read("pkcs8.pem"));

  openssl.write("message", "hello");
  openssl.write("ours", as_text(key.sign(as_bytes("hello"))));
  CHECK(openssl.run("dgst -sha256 -verify public.pem -signature ours message"));
  REQUIRE(openssl.run("dgst -sha256 -sign sec1.pem -out theirs message"));
  CHECK(who.verify(as_bytes("hello"), as_bytes(openssl.read("theirs"))));
  CHECK_FALSE(who.verify(as_bytes("hullo"), as_bytes(openssl.read("theirs"))));
}

TEST_CASE("a key that is not P-256 in its one form is refused") {
  const OpenSsl openssl;
  REQUIRE(openssl.run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa"));
  REQUIRE(openssl.run("genpkey -algorithm ED25519 -out ed25519"));
  REQUIRE(openssl.run("ecparam -name secp384r1 -genkey -noout -out p384"));
  REQUIRE(openssl.run("ecparam -name secp256k1 -genkey -noout -out k256"));
  REQUIRE(openssl.run("ecparam -name prime256v1 -genkey -noout -out p256"));
  REQUIRE(openssl.run("ecparam -name prime256v1 -param_enc explicit -genkey -noout -out explicit"));
  REQUIRE(openssl.run("ec -in p256 -conv_form compressed -out compressed"));
  REQUIRE(openssl.run("ec -in p256 -conv_form compressed -pubout -out compressed.pub"));
  REQUIRE(openssl.run("ec -in p256 -conv_form hybrid -pubout -out hybrid.pub"));
  for (const char* name : {"rsa", "ed25519", "p384", "k256", "explicit"}) {
    REQUIRE(openssl.run(std::string("pkey -in ") + name + " -pubout -out " + name + ".pub"));
  }
  for (const char* name : {"rsa", "ed25519", "p384", "k256", "explicit", "compressed", "hybrid"}) {
    CAPTURE(name);
    CHECK(public_complaint(openssl.read(std::string(name) + ".pub")) ==
          "not a P-256 public key with named curve and uncompressed point [openssl ecparam -name "
          "prime256v1 -genkey -noout makes such a key]");
  }
  for (const char* name : {"rsa", "ed25519", "p384", "k256", "explicit", "compressed"}) {
    CAPTURE(name);
    REQUIRE_FALSE(openssl.read(name).empty());
    CHECK(private_complaint(openssl.read(name)).find("P-256 private key with named curve") !=
          std::string::npos);
  }
  CHECK(private_complaint(openssl.read("p256")) == "nothing thrown");
}

TEST_CASE("an encrypted private key is refused without asking for a passphrase") {
  const OpenSsl openssl;
  REQUIRE(openssl.run("ecparam -name prime256v1 -genkey -noout -out p256"));
  REQUIRE(openssl.run("pkcs8 -topk8 -in p256 -passout pass:x -out new"));
  REQUIRE(openssl.run("ec -in p256 -aes128 -passout pass:x -out old"));
  for (const char* name : {"new", "old"}) {
    CHECK(private_complaint(openssl.read(name)) ==
          "the private key is encrypted [openssl pkey -in KEY -out NEW writes it without a "
          "passphrase]");
  }
}

TEST_CASE("a file that has no key, the wrong one, or two is refused") {
  const SigningKey key = SigningKey::make();
  const std::string open = key.public_key().pem(), secret = key.pem();
  CHECK(public_complaint("").starts_with("the file has no PEM block, so it is no public key"));
  CHECK(private_complaint("x").starts_with("the file has no PEM block, so it is no private key"));
  CHECK(public_complaint(secret) ==
        "the PEM file has a private key where a public key is wanted [openssl pkey -in KEY "
        "-pubout writes its public key]");
  CHECK(
      private_complaint(open).starts_with("the PEM file has \"PUBLIC KEY\", not \"PRIVATE KEY\""));
  CHECK(public_complaint(open + open)
            .starts_with("the PEM file has more than one key or certificate"));
  CHECK(private_complaint(secret + secret)
            .starts_with("the PEM file has more than one key or certificate"));
  CHECK(public_complaint(open.substr(0, 100)).starts_with("the PEM file is damaged"));
  CHECK(public_complaint(std::string(100'000, ' ')).starts_with("the PEM file is too long"));
  std::string named = open;
  for (std::size_t at; (at = named.find("PUBLIC KEY")) != std::string::npos;) {
    named.replace(at, 10, "CERTIFICATE");
  }
  CHECK(
      public_complaint(named).starts_with("the PEM file has \"CERTIFICATE\", not \"PUBLIC KEY\""));
}

TEST_CASE("a public key whose point is not on the curve is refused") {
  Bytes der = SigningKey::make().public_key().der();
  const auto complaint = [&] { return message_of([&] { PublicKey::from_der(der); }); };
  der.back() ^= 1;
  CHECK(complaint().starts_with("the public key is no point of P-256"));
  der.back() ^= 1;
  CHECK(complaint() == "nothing thrown");
  der.push_back(0);
  CHECK(complaint().starts_with("not a P-256 public key"));
  der.clear();
  CHECK(complaint().starts_with("not a P-256 public key"));
}

TEST_CASE("a private key that is damaged or does not fit its public key is refused") {
  // The secret scalar of a SEC 1 key stands at bytes 7 to 38.
  const OpenSsl openssl;
  REQUIRE(openssl.run("ecparam -name prime256v1 -genkey -noout -outform DER -out key.der"));
  std::string der = openssl.read("key.der");
  der[20] = static_cast<char>(der[20] ^ 1);
  openssl.write("bent.der", der);
  openssl.write("long.der", openssl.read("key.der") + "x");
  REQUIRE(openssl.run("base64 -in bent.der -out bent.b64"));
  REQUIRE(openssl.run("base64 -in long.der -out long.b64"));
  const auto pem = [&](const char* name) {
    return "-----BEGIN EC PRIVATE KEY-----\n" + openssl.read(name) +
           "-----END EC PRIVATE KEY-----\n";
  };
  CHECK(private_complaint(pem("bent.b64"))
            .starts_with("the private key does not fit its public key"));
  CHECK(private_complaint(pem("long.b64")).starts_with("the private key is damaged"));
}
