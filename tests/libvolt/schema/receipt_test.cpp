// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/receipt.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/crypto/openssl.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/schema/sample.hpp"

using namespace volt;
using namespace volt::schema;
using doc::Value;

namespace {

const crypto::SigningKey& key() {
  static const auto made = crypto::SigningKey::make();
  return made;
}

std::string payload() { return to_payload(sample_receipt(key().public_key())); }

std::string complaint(const std::string& text) {
  return message_of([&] { parse_receipt(text, "r.json"); });
}

/// What is said of the sample payload after a change to its document.
std::string changed(const std::function<void(Value&)>& change) {
  Value root = doc::parse_json(payload(), "x");
  change(root);
  return complaint(doc::to_canonical_json(root));
}

/// The value at a path such as "predicate/inputs/0/seed".
Value& at(Value& root, std::string_view path) {
  Value* value = &root;
  while (!path.empty()) {
    const auto step = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    if (auto* array = value->get_if<Value::Array>()) {
      value = &array->at(std::stoul(std::string(step)));
    } else {
      value = value->find(step);
      REQUIRE(value != nullptr);
    }
  }
  return *value;
}

std::string with(std::string_view path, const Value& replacement) {
  return changed([&](Value& root) { at(root, path) = replacement; });
}

std::string without(std::string_view table, std::string_view member) {
  return changed([&](Value& root) {
    auto& members = *at(root, table).get_if<Value::Object>();
    std::erase_if(members, [&](const auto& entry) { return entry.first == member; });
  });
}

}  // namespace

TEST_CASE("a receipt is written, read and written the same") {
  const std::string text = payload();
  const Receipt read = parse_receipt(text, "r.json");
  CHECK(to_payload(read) == text);
  CHECK(read.outputs.size() == 2);
  CHECK(read.output("c.npy")->tensor->description.shape == std::vector<std::uint64_t>{32, 32});
  CHECK_FALSE(read.output("c.pgm")->tensor);
  CHECK(read.output("d") == nullptr);
  CHECK(read.input("a")->seed == 7);
  CHECK_FALSE(read.input("a")->sha256);
  CHECK(read.input("b")->sha256 == digest_of("b"));
  CHECK(read.input("b")->bytes == 1024);
  CHECK(read.input("b")->receipt == digest_of("receipt of b"));
  CHECK(read.units == 1024);
  CHECK(read.signer == key().public_key().der());
  CHECK(doc::to_canonical_json(doc::parse_json(text, "x")) == text);
}

TEST_CASE("every member of a receipt is needed, and no other is allowed") {
  const std::function<void(const Value&, const std::string&)> walk = [&](const Value& value,
                                                                         const std::string& path) {
    if (const auto* array = value.get_if<Value::Array>()) {
      for (std::size_t i = 0; i < array->size(); ++i) {
        walk((*array)[i], path + (path.empty() ? "" : "/") + std::to_string(i));
      }
    }
    const auto* object = value.get_if<Value::Object>();
    if (object == nullptr) return;
    CAPTURE(path);
    const std::string extra = changed([&](Value& root) {
      at(root, path).get_if<Value::Object>()->emplace_back("zzzzzzzzzz", 1);
    });
    CHECK(extra.starts_with("r.json: unknown key"));
    for (const auto& [name, member] : *object) {
      const auto shown_name = name;
      CAPTURE(shown_name);
      // Only what says how an input came about may be left out.
      const bool optional = (name == "receipt" && path == "predicate/inputs/1");
      CHECK((without(path, name) == "nothing thrown") == optional);
      walk(member, path + (path.empty() ? "" : "/") + name);
    }
  };
  walk(doc::parse_json(payload(), "x"), "");
}

TEST_CASE("another kind of statement is refused") {
  CHECK(with("_type", "https://in-toto.io/Statement/v0.1") ==
        "r.json: _type is not an in-toto statement, version 1");
  CHECK(with("predicateType", "urn:volt:challenge/1") ==
        "r.json: predicateType is no receipt of volt");
  CHECK(with("predicate/schema", "volt.receipt/2") ==
        "r.json: predicate.schema is not \"volt.receipt/1\" "
        "[a receipt made by a newer volt needs a newer gpu-verify]");
}

TEST_CASE("a payload in any but its canonical spelling is refused") {
  const std::string hint =
      " [volt writes receipts by RFC 8785; another spelling may be read differently]";
  const std::string text = payload();
  CHECK(complaint(text + "\n") == "r.json is not in canonical form" + hint);
  CHECK(complaint(" " + text) == "r.json is not in canonical form" + hint);
  CHECK(complaint(doc::to_json(doc::parse_json(text, "x"))) ==
        "r.json is not in canonical form" + hint);
  const auto respelled = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    const auto where = other.find(from);
    REQUIRE(where != std::string::npos);
    return complaint(other.replace(where, from.size(), to));
  };
  CHECK(respelled("\"attempt\":2", "\"attempt\":2.0") == "r.json is not in canonical form" + hint);
  CHECK(respelled("\"cpu\"", "\"\\u0063pu\"") == "r.json is not in canonical form" + hint);
  CHECK(respelled("\"attempt\":2,", "\"attempt\":2,\"attempt\":2,").find("is there twice") !=
        std::string::npos);
}

TEST_CASE("one name for two things is refused") {
  CHECK(changed([](Value& root) {
          auto& subject = *at(root, "subject").get_if<Value::Array>();
          subject.push_back(subject.front());
        }) == "r.json: subject names one thing twice");
  CHECK(with("predicate/inputs/1/name", "a") == "r.json: predicate.inputs names one thing twice");
}

TEST_CASE("more than 1024 entries are refused") {
  const auto many = [](std::string_view path, std::size_t count) {
    return changed([&](Value& root) {
      auto& entries = *at(root, path).get_if<Value::Array>();
      const Value last = entries.back();
      entries.clear();
      for (std::size_t i = 0; i < count; ++i) {
        entries.push_back(last);
        *entries.back().find("name") = "n" + std::to_string(i);
      }
    });
  };
  CHECK(many("subject", 64) == "nothing thrown");
  CHECK(many("subject", 1025) == "r.json: subject has more than 1024 entries");
  CHECK(many("predicate/inputs", 64) == "nothing thrown");
  CHECK(many("predicate/inputs", 1025) == "r.json: predicate.inputs has more than 1024 entries");
}

TEST_CASE("outputs are plain file names that volt does not use itself") {
  for (const char* name : {"", "../x", ".", "..", "x\n", "\x1b[2J"}) {
    CHECK(with("subject/0/name", name) == "r.json: subject[0].name is no plain file name");
  }
  for (const char* name : {".volt", "receipt.json", "job.json", "run.json"}) {
    CHECK(with("subject/0/name", name) ==
          "r.json: subject[0].name is a name that volt uses itself");
  }
}

TEST_CASE("inputs have plain names, for they may become files again") {
  for (const char* name : {"", "../x", "a/../../x", "/etc/x", "a//b", "a\n0  b", "."}) {
    CHECK(with("predicate/inputs/0/name", name) ==
          "r.json: predicate.inputs[0].name is no plain name");
  }
}

TEST_CASE("values of the wrong kind, range or spelling are refused") {
  CHECK(with("subject/0/digest/sha256", std::string(64, 'A'))
            .starts_with("r.json: subject[0].digest.sha256 is \"AAA"));
  CHECK(with("subject/0/annotations/dtype", "f31") ==
        "r.json: subject[0].annotations.dtype is no element type");
  CHECK(with("subject/0/annotations/shape", Value::Array{-1}) ==
        "r.json: subject[0].annotations.shape is no shape");
  CHECK(with("subject/0/annotations/shape", Value::Array(9, Value(1))) ==
        "r.json: subject[0].annotations.shape is no shape");
  CHECK(with("subject/0/annotations/shape", Value::Array{std::int64_t{1} << 62, 2})
            .starts_with("r.json: subject[0].annotations.shape is no shape: "));
  CHECK(with("predicate/attempt", -1) ==
        "r.json: predicate.attempt is -1, not from 0 to 9007199254740991");
  CHECK(with("predicate/elapsed_ns", std::int64_t{1} << 53).starts_with("r.json: "));
  CHECK(with("predicate/signer", "AAA") == "r.json: predicate.signer is not base64");
  CHECK(with("predicate/job/sha256", 1) ==
        "r.json: predicate.job.sha256 is a whole number, not a string");
}

TEST_CASE("a signed receipt opens, and openssl agrees") {
  const std::string envelope = envelope_of(payload(), key());
  const SignedReceipt opened = open_receipt(envelope, "r.json");
  CHECK(opened.payload == payload());
  CHECK(opened.signer.id() == key().public_key().id());
  CHECK(opened.digest() == crypto::sha256(as_bytes(payload())));

  const auto read = crypto::Envelope::parse(envelope, "r.json");
  const OpenSsl openssl;
  openssl.write("key.pem", crypto::PublicKey::from_der(opened.receipt.signer).pem());
  openssl.write("message", as_text(read.signed_bytes()));
  openssl.write("signature", as_text(read.signatures.front().der));
  CHECK(openssl.run("dgst -sha256 -verify key.pem -signature signature message"));
  openssl.write("message", std::string(as_text(read.signed_bytes())) + "x");
  CHECK_FALSE(openssl.run("dgst -sha256 -verify key.pem -signature signature message"));
}

TEST_CASE("a receipt signed by another key than the one it names, or altered, is refused") {
  const auto open = [](const std::string& text) {
    return message_of([&] { open_receipt(text, "r.json"); });
  };
  const std::string invalid =
      "the signature of r.json is not valid "
      "[it was altered, or signed with another key than the one it names]";
  CHECK(open(envelope_of(payload(), crypto::SigningKey::make())) == invalid);

  auto envelope = crypto::Envelope::parse(envelope_of(payload(), key()), "x");
  Receipt other = sample_receipt(key().public_key());
  other.attempt = 3;
  envelope.payload = to_payload(other);
  CHECK(open(envelope.json()) == invalid);

  envelope = crypto::Envelope::parse(envelope_of(payload(), key()), "x");
  envelope.payload_type = "application/json";
  CHECK(open(envelope.json()) ==
        "r.json is an envelope of another kind "
        "[its payload type must be application/vnd.in-toto+json]");

  Receipt keyless = sample_receipt(key().public_key());
  keyless.signer = {1, 2, 3};
  CHECK(open(envelope_of(to_payload(keyless), key())).starts_with("r.json names no usable key: "));
}

TEST_CASE("every byte of a receipt's payload is covered by the signature") {
  auto envelope = crypto::Envelope::parse(envelope_of(payload(), key()), "x");
  const std::string right = envelope.payload;
  for (std::size_t i = 0; i < right.size(); i += 7) {
    envelope.payload = right;
    envelope.payload[i] ^= 1;
    CHECK_THROWS_AS(open_receipt(envelope.json(), "r.json"), Error);
  }
}
