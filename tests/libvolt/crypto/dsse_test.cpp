// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/dsse.hpp"

#include <doctest/doctest.h>

#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::crypto;

namespace {

std::string complaint(const std::string& json) {
  return message_of([&] { Envelope::parse(json, "receipt"); });
}

std::string envelope(const std::string& signatures) {
  return R"({"payload":"aGVsbG8gd29ybGQ=","payloadType":"http://example.com/HelloWorld",)"
         R"("signatures":[)" +
         signatures + "]}";
}

}  // namespace

TEST_CASE("base64 gives the known answers of RFC 4648, both ways") {
  const std::pair<const char*, const char*> table[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : table) {
    CHECK(to_base64(as_bytes(plain)) == coded);
    const auto bytes = from_base64(coded);
    REQUIRE(bytes);
    CHECK(as_text(*bytes) == plain);
  }
  Bytes all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  CHECK(from_base64(to_base64(all)) == all);
  CHECK(to_base64(Bytes{0xfb, 0xff}) == "+/8=");
}

TEST_CASE("base64 in any but its canonical spelling is refused") {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "=",
                           "Zm9v=", "Zm9v====", "Zg==Zg==", "Zm8=Zg==", "Zm 9", "Zm9v\n",
                           "-_8=", "Z=g=", "Zg=A", "Zm9\xff"}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64(text));
  }
  CHECK_FALSE(from_base64(std::string_view("Zm9\0", 4)));
}

TEST_CASE("what is signed is the pre-authentication encoding of the DSSE specification") {
  const Envelope envelope{"http://example.com/HelloWorld", "hello world", {}};
  CHECK(as_text(envelope.signed_bytes()) ==
        "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  CHECK(as_text(Envelope{}.signed_bytes()) == "DSSEv1 0  0 ");
  CHECK(as_text(Envelope{"é", "é", {}}.signed_bytes()) == "DSSEv1 2 é 2 é");
}

TEST_CASE("an envelope is signed, written, read and verified") {
  const SigningKey key = SigningKey::make(), other = SigningKey::make();
  Envelope envelope{std::string(in_toto_payload), std::string("{}\0\xff", 4), {}};
  envelope.sign(key);
  CHECK(envelope.signed_by(key.public_key()));
  CHECK_FALSE(envelope.signed_by(other.public_key()));
  envelope.sign(other);

  Envelope again = Envelope::parse(envelope.json(), "receipt");
  CHECK(again.payload_type == envelope.payload_type);
  CHECK(again.payload == envelope.payload);
  REQUIRE(again.signatures.size() == 2);
  CHECK(again.signatures[0].keyid == key.public_key().id());
  CHECK(again.signed_by(key.public_key()));
  CHECK(again.signed_by(other.public_key()));
  CHECK(again.json() == envelope.json());

  again.signatures[0].keyid = "whoever";  // a hint only
  CHECK(again.signed_by(key.public_key()));
  again.payload += " ";
  CHECK_FALSE(again.signed_by(key.public_key()));
  again.payload.pop_back();
  again.payload_type += "x";
  CHECK_FALSE(again.signed_by(key.public_key()));
}

TEST_CASE("an envelope takes 16 signatures and no more") {
  const SigningKey key = SigningKey::make();
  Envelope envelope{"t", "p", {}};
  for (int i = 0; i < 16; ++i) envelope.sign(key);
  CHECK(message_of([&] { envelope.sign(key); }) == "an envelope has at most 16 signatures");
}

TEST_CASE("an envelope with anything unexpected is refused") {
  const std::string one = R"({"keyid":"k","sig":"Zg=="})";
  CHECK(complaint(envelope(one)) == "nothing thrown");
  CHECK(complaint(envelope(R"({"sig":"Zg=="})")) == "nothing thrown");
  CHECK(complaint(envelope("")) == "receipt: signatures has 0 entries, not from 1 to 16");
  std::string many = one;
  for (int i = 0; i < 16; ++i) many += "," + one;
  CHECK(complaint(envelope(many)) == "receipt: signatures has 17 entries, not from 1 to 16");
  CHECK(complaint(envelope(R"({"keyid":"k","sig":"Zh=="})")) ==
        "receipt: signatures[0].sig is not canonical base64");
  CHECK(complaint(envelope(one + R"(,{"keyid":"k"})")) == "receipt: signatures[1].sig is missing");
  CHECK(complaint(envelope("1")) == "receipt: signatures[0] is a whole number, not a table");
  CHECK(complaint(envelope(R"({"keyid":"k","sig":"Zg==","cert":""})")) ==
        "receipt: unknown key \"signatures[0].cert\"");
  CHECK(complaint(R"({"payload":"a","payloadType":"t","signatures":[]})") ==
        "receipt: payload is not canonical base64");
  CHECK(complaint(R"({"payload":"","payloadType":"t","signatures":[{"sig":""}],"payloadTyp":1})") ==
        "receipt: unknown key \"payloadTyp\" [did you mean \"payloadType\"?]");
  CHECK(complaint("[]") == "receipt: the document is a list, not a table");
  CHECK(complaint(envelope(R"({"sig":[[]]})")).ends_with("nested deeper than 3 levels"));
  try {
    Envelope::parse("{}", "receipt", Exit::verification_failed);
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::verification_failed);
    CHECK(error.text() == "receipt: payloadType is missing");
  }
}
