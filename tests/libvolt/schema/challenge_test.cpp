// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/challenge.hpp"

#include "libvolt/schema/job.hpp"

#include <doctest/doctest.h>

#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/schema/sample.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

Challenge sample() {
  return {digest_of("receipt"), digest_of("nonce"), digest_of("seed"), 2750, {1, 2, 3}};
}

std::string complaint(const std::string& text) {
  return message_of([&] { parse_challenge(text, "c.json"); });
}

/// What is said of the sample with one text put for another.
std::string with(const std::string& from, const std::string& to) {
  std::string text = to_payload(sample());
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return complaint(text.replace(at, from.size(), to));
}

std::string header_complaint(const std::string& from, const std::string& to) {
  std::string text = to_line({digest_of("c"), digest_of("r"), "pages", "seed"});
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  return message_of([&] { parse_proof_header(text, "proof"); });
}

}  // namespace

TEST_CASE("a challenge is written, read and written the same") {
  for (const std::uint64_t draws : {std::uint64_t{1}, std::uint64_t{2750}, max_draws}) {
    Challenge challenge = sample();
    challenge.draws = draws;
    const std::string text = to_payload(challenge);
    const Challenge read = parse_challenge(text, "c.json");
    CHECK(read.receipt == challenge.receipt);
    CHECK(read.nonce == challenge.nonce);
    CHECK(read.seed == challenge.seed);
    CHECK(read.draws == draws);
    CHECK(read.signer == challenge.signer);
    CHECK(to_payload(read) == text);
  }
}

TEST_CASE("what is no challenge is refused with its reason") {
  CHECK(with("Statement/v1", "Statement/v2") ==
        "c.json: _type is not an in-toto statement, version 1");
  CHECK(with("urn:volt:challenge/1", "urn:volt:receipt/1")
            .ends_with("predicateType is no challenge of volt "
                       "[make one with: gpu-verify challenge RECEIPT]"));
  CHECK(with("volt.challenge/1", "volt.challenge/2")
            .ends_with("predicate.schema is not \"volt.challenge/1\""));
  CHECK(with("\"draws\":2750", "\"draws\":0")
            .ends_with("predicate.draws is 0, not from 1 to 1000000"));
  CHECK(with("\"draws\":2750", "\"draws\":1000001")
            .ends_with("predicate.draws is 1000001, not from 1 to 1000000"));
  CHECK(with("\"draws\":2750", "\"draws\":-1")
            .ends_with("predicate.draws is -1, not from 1 to 1000000"));
  CHECK(with("\"draws\":2750,", "").ends_with("predicate.draws is missing"));
  CHECK(with("\"draws\":2750", "\"draws\":2750,\"extra\":1")
            .find("unknown key \"predicate.extra\"") != std::string::npos);
  CHECK(with("AQID", "AQI").ends_with("predicate.signer is not base64"));
  CHECK(with("\"subject\":[", "\"subject\":[{},").ends_with("subject must name one receipt"));
  CHECK(with("\"name\":\"receipt\"", "\"name\":\"receipt\",\"uri\":\"x\"")
            .find("unknown key \"subject[0].uri\"") != std::string::npos);
  CHECK(with(digest_of("nonce").hex(), "00").find("predicate.nonce is \"00\"") !=
        std::string::npos);
  CHECK(complaint("").starts_with("c.json"));
  CHECK(complaint(to_payload(sample()) + "{}").starts_with("c.json:1:"));
}

TEST_CASE("a challenge that is refused fails verification") {
  try {
    parse_challenge("{}", "c.json");
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::verification_failed);
  }
}

TEST_CASE("a proof's header is one line, read as it was written") {
  for (const char* a : {"pages", "whole", "seed"}) {
    for (const char* b : {"pages", "whole", "seed"}) {
      const ProofHeader header{digest_of("c"), digest_of("r"), a, b};
      const std::string line = to_line(header);
      CHECK(line.find('\n') == line.size() - 1);
      const ProofHeader read = parse_proof_header(line, "proof");
      CHECK(read.challenge == header.challenge);
      CHECK(read.receipt == header.receipt);
      CHECK(read.a == a);
      CHECK(read.b == b);
      CHECK(to_line(read) == line);
    }
  }
}

TEST_CASE("a proof's header that is none is refused") {
  CHECK(
      header_complaint("volt.proof/1", "volt.proof/2").ends_with("schema is not \"volt.proof/1\""));
  CHECK(header_complaint("\"pages\"", "\"page\"")
            .ends_with("a is \"page\", not one of \"pages\", \"whole\", \"seed\" "
                       "[did you mean \"pages\"?]"));
  CHECK(header_complaint("\"a\":", "\"c\":1,\"a\":").find("unknown key \"c\"") !=
        std::string::npos);
  CHECK(header_complaint("\"b\":\"seed\",", "").ends_with("b is missing"));
  CHECK(
      message_of([] { parse_proof_header(std::string(5000, ' '), "proof"); }).starts_with("proof"));
  CHECK(message_of([] { parse_proof_header("", "proof"); }).starts_with("proof"));
}
