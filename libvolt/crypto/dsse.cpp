// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/dsse.hpp"

#include <algorithm>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::crypto {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t max_signatures = 16;
/// Openings make a payload long; anything above this is no receipt.
constexpr std::size_t max_bytes = std::size_t{16} << 20;

Bytes base64_field(doc::Fields& fields, std::string_view key) {
  auto bytes = from_base64(fields.string(key));
  if (!bytes) fields.fail(key, fields.get(key), "is not canonical base64");
  return *std::move(bytes);
}

}  // namespace

std::string to_base64(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < have ? bytes[i + j] : 0u);
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= have ? alphabet[bits >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const std::string_view body = text.substr(0, std::min(text.find('='), text.size()));
  if (text.size() - body.size() > 2) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  unsigned have = 0;
  for (const char c : body) {
    const auto digit = alphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(digit)) & 0xffffff;
    have += 6;
    if (have >= 8) {
      have -= 8;
      bytes.push_back(static_cast<std::uint8_t>(bits >> have));
    }
  }
  // Bits left over that are not zero, or padding of the wrong kind, would be a second spelling.
  if ((bits & ((1u << have) - 1)) != 0) return std::nullopt;
  if (text.substr(body.size()) != std::string_view("==").substr(0, text.size() - body.size())) {
    return std::nullopt;
  }
  return bytes;
}

Envelope Envelope::parse(std::string_view json, std::string_view origin, Exit code) {
  const doc::Value document = doc::parse_json(json, origin, {.bytes = max_bytes, .depth = 3}, code);
  const doc::Source source{std::string(origin), code};
  doc::Fields fields(document, source);
  Envelope envelope;
  envelope.payload_type = fields.string("payloadType");
  envelope.payload = as_text(base64_field(fields, "payload"));
  const auto& signatures = fields.array("signatures");
  if (signatures.empty() || signatures.size() > max_signatures) {
    fields.fail("signatures", fields.get("signatures"),
                "has " + std::to_string(signatures.size()) + " entries, not from 1 to " +
                    std::to_string(max_signatures));
  }
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    doc::Fields entry(signatures[i], source, "signatures[" + std::to_string(i) + "]");
    Signature signature;
    if (entry.has("keyid")) signature.keyid = entry.string("keyid");
    signature.der = base64_field(entry, "sig");
    entry.refuse_others();
    envelope.signatures.push_back(std::move(signature));
  }
  fields.refuse_others();
  return envelope;
}

std::string Envelope::json() const {
  doc::Value::Array list;
  for (const auto& signature : signatures) {
    list.push_back(
        doc::Value::Object{{"keyid", signature.keyid}, {"sig", to_base64(signature.der)}});
  }
  return doc::to_canonical_json(doc::Value::Object{{"payload", to_base64(as_bytes(payload))},
                                                   {"payloadType", payload_type},
                                                   {"signatures", std::move(list)}});
}

Bytes Envelope::signed_bytes() const {
  const std::string head = "DSSEv1 " + std::to_string(payload_type.size()) + " " + payload_type +
                           " " + std::to_string(payload.size()) + " ";
  Bytes bytes;
  bytes.reserve(head.size() + payload.size());
  bytes.insert(bytes.end(), head.begin(), head.end());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

void Envelope::sign(const SigningKey& key) {
  if (signatures.size() == max_signatures) {
    throw Error(Exit::failure,
                "an envelope has at most " + std::to_string(max_signatures) + " signatures");
  }
  signatures.push_back({key.public_key().id(), key.sign(signed_bytes())});
}

bool Envelope::signed_by(const PublicKey& key) const {
  const Bytes message = signed_bytes();
  return std::any_of(signatures.begin(), signatures.end(), [&](const Signature& signature) {
    return key.verify(message, signature.der);
  });
}

Envelope Envelope::parse_in_toto(std::string_view json, std::string_view origin) {
  Envelope envelope = parse(json, origin, Exit::verification_failed);
  if (envelope.payload_type != in_toto_payload) {
    throw Error(Exit::verification_failed, std::string(origin) + " is an envelope of another kind",
                "its payload type must be application/vnd.in-toto+json");
  }
  return envelope;
}

PublicKey Envelope::check_signer(ByteView der, std::string_view origin) const {
  auto key = [&] {
    try {
      return PublicKey::from_der(der);
    } catch (const Error& error) {
      throw Error(Exit::verification_failed, std::string(origin) + " names no usable key", {},
                  error.message());
    }
  }();
  if (!signed_by(key)) {
    throw Error(Exit::verification_failed,
                "the signature of " + std::string(origin) + " is not valid",
                "it was altered, or signed with another key than the one it names");
  }
  return key;
}

}  // namespace volt::crypto
