// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/challenge.hpp"

#include <array>

#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/dsse.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

}  // namespace

std::string to_payload(const Challenge& challenge) {
  const Value::Object subject{{"name", "receipt"},
                              {"digest", Value::Object{{"sha256", challenge.receipt.hex()}}}};
  return doc::to_canonical_json(
      Value::Object{{"_type", crypto::in_toto_statement},
                    {"subject", Value::Array{subject}},
                    {"predicateType", challenge_predicate},
                    {"predicate", Value::Object{{"schema", challenge_schema},
                                                {"nonce", challenge.nonce.hex()},
                                                {"seed", challenge.seed.hex()},
                                                {"draws", challenge.draws},
                                                {"signer", crypto::to_base64(challenge.signer)}}}});
}

Challenge parse_challenge(std::string_view payload, std::string_view origin) {
  const Source source{std::string(origin), Exit::verification_failed};
  const Value root = doc::parse_json(payload, origin, {max_document_bytes, 16}, source.code);
  if (doc::to_canonical_json(root) != payload) {
    throw Error(source.code, std::string(origin) + " is not in canonical form");
  }
  Fields fields(root, source);
  if (fields.string("_type") != crypto::in_toto_statement) {
    fields.fail("_type", fields.get("_type"), "is not an in-toto statement, version 1");
  }
  if (fields.string("predicateType") != challenge_predicate) {
    fields.fail("predicateType", fields.get("predicateType"), "is no challenge of volt",
                "make one with: gpu-verify challenge RECEIPT");
  }
  Challenge challenge;
  const auto& subject = fields.array("subject");
  if (subject.size() != 1) {
    fields.fail("subject", fields.get("subject"), "must name one receipt");
  }
  Fields named(subject.front(), source, "subject[0]");
  named.string("name");
  Fields digest = named.table("digest");
  challenge.receipt = digest.digest("sha256");
  digest.refuse_others();
  named.refuse_others();
  Fields predicate = fields.table("predicate");
  if (predicate.string("schema") != challenge_schema) {
    predicate.fail("schema", predicate.get("schema"), "is not \"volt.challenge/1\"");
  }
  challenge.nonce = predicate.digest("nonce");
  challenge.seed = predicate.digest("seed");
  challenge.draws = static_cast<std::uint64_t>(
      predicate.integer("draws", 1, static_cast<std::int64_t>(max_draws)));
  const auto der = crypto::from_base64(predicate.string("signer"));
  if (!der) predicate.fail("signer", predicate.get("signer"), "is not base64");
  challenge.signer = *der;
  predicate.refuse_others();
  fields.refuse_others();
  return challenge;
}

SignedChallenge open_challenge(std::string_view text, std::string_view origin) {
  const auto envelope = crypto::Envelope::parse_in_toto(text, origin);
  Challenge challenge = parse_challenge(envelope.payload, origin);
  auto signer = envelope.check_signer(challenge.signer, origin);
  return {std::move(challenge), crypto::sha256(as_bytes(envelope.payload)), std::move(signer)};
}

std::string to_line(const ProofHeader& header) {
  return doc::to_canonical_json(Value::Object{{"schema", proof_schema},
                                              {"challenge", header.challenge.hex()},
                                              {"receipt", header.receipt.hex()},
                                              {"a", header.a},
                                              {"b", header.b}}) +
         "\n";
}

ProofHeader parse_proof_header(std::string_view line, std::string_view origin) {
  constexpr std::array<std::string_view, 3> ways{"pages", "whole", "seed"};
  const Source source{std::string(origin), Exit::verification_failed};
  const Value root = doc::parse_json(line, origin, {4096, 4}, source.code);
  Fields fields(root, source);
  if (fields.string("schema") != proof_schema) {
    fields.fail("schema", fields.get("schema"), "is not \"volt.proof/1\"");
  }
  ProofHeader header;
  header.challenge = fields.digest("challenge");
  header.receipt = fields.digest("receipt");
  header.a = fields.choice("a", ways);
  header.b = fields.choice("b", ways);
  fields.refuse_others();
  return header;
}

}  // namespace volt::schema
