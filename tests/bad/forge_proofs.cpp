// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "forge.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/proof/openings.hpp"
#include "libvolt/schema/challenge.hpp"

/// Challenges are signed with the key that the forger is given: its own, or, for what must be
/// refused although the verifier signed it, the verifier's.
namespace volt::forge {
namespace {

std::string signed_text(Forger& f, std::string payload) {
  crypto::Envelope envelope{std::string(crypto::in_toto_payload), std::move(payload), {}};
  envelope.sign(f.key);
  return envelope.json() + "\n";
}

schema::Challenge challenge(Forger& f) {
  const auto payload = f.good.payload;
  return proof::make_challenge(payload, schema::parse_receipt(payload, "receipt"), 64,
                               f.key.public_key());
}

std::string with_nonce(Forger& f, const Digest& nonce) {
  auto made = challenge(f);
  made.nonce = nonce;
  made.seed = proof::challenge_seed(f.receipt, nonce);
  return signed_text(f, schema::to_payload(made));
}

/// Tries nonces until only units in the first half are drawn: what a cheat does who computed no
/// more.
std::string ground(Forger& f) {
  auto made = challenge(f);
  made.draws = 8;
  for (;;) {
    made.nonce = crypto::random_digest();
    made.seed = proof::challenge_seed(f.receipt, made.nonce);
    const auto units = proof::drawn_units(made.seed, made.draws, f.receipt.units);
    if (units.back() < f.receipt.units / 2) return signed_text(f, schema::to_payload(made));
  }
}

/// The seed as if there were one input fewer.
std::string lacking_input(Forger& f) {
  auto made = challenge(f);
  schema::Receipt lacking = f.receipt;
  lacking.inputs.pop_back();
  made.seed = proof::challenge_seed(lacking, made.nonce);
  return signed_text(f, schema::to_payload(made));
}

std::string chosen_seed(Forger& f) {
  auto made = challenge(f);
  made.seed = crypto::sha256(as_bytes("1"));
  return signed_text(f, schema::to_payload(made));
}

std::string short_nonce(Forger& f) {
  const auto made = challenge(f);
  const std::string nonce = made.nonce.hex();
  return signed_text(f, replaced(schema::to_payload(made), nonce, nonce.substr(48)));
}

std::string other_draws(Forger& f, std::string_view fresh) {
  const auto payload = schema::to_payload(challenge(f));
  return signed_text(f, replaced(payload, "\"draws\":64", "\"draws\":" + std::string(fresh)));
}

/// A challenge of the verifier, its draws lowered and its signature kept.
std::string edited(Forger& f) {
  auto envelope = crypto::Envelope::parse(
      host::read_file(f.argument(0), schema::max_document_bytes), "challenge");
  auto made = schema::parse_challenge(envelope.payload, "challenge");
  made.draws = 1;
  envelope.payload = schema::to_payload(made);
  return envelope.json() + "\n";
}

// The good proof is the first argument, the challenge that it answers the second.

std::string good_proof(const Forger& f) {
  return host::read_file(f.argument(0), std::uint64_t{64} << 20);
}

Digest challenge_digest(const host::Path& path) {
  return crypto::sha256(as_bytes(
      crypto::Envelope::parse(host::read_file(path, schema::max_document_bytes), "challenge")
          .payload));
}

std::size_t body_at(const std::string& proof) { return proof.find('\n') + 1; }

std::string with_header(const Forger& f, const std::function<void(schema::ProofHeader&)>& change) {
  const std::string proof = good_proof(f);
  auto header = schema::parse_proof_header(proof.substr(0, body_at(proof) - 1), "proof");
  change(header);
  return schema::to_line(header) + proof.substr(body_at(proof));
}

std::string with_byte(const Forger& f, std::size_t from_body) {
  std::string proof = good_proof(f);
  auto& byte = proof.at(body_at(proof) + from_body);
  byte = static_cast<char>(byte ^ 1);
  return proof;
}

proof::Pages pages_of_c(const Forger& f) {
  const auto envelope = crypto::Envelope::parse(
      host::read_file(f.argument(1), schema::max_document_bytes), "challenge");
  const auto made = schema::parse_challenge(envelope.payload, "challenge");
  const auto units = proof::drawn_units(made.seed, made.draws, f.receipt.units);
  return proof::needed(f.geometry, f.receipt.input("a")->tensor->description,
                       f.receipt.input("b")->tensor->description, units)
      .c;
}

std::string swapped_pages(Forger& f) {
  std::string proof = good_proof(f);
  const auto first = proof.begin() + static_cast<std::ptrdiff_t>(body_at(proof));
  std::swap_ranges(first, first + 4096, first + 4096);
  return proof;
}

/// Works on the 32-byte nodes after C's pages: `edit` gets their place in the file and their count.
std::string edit_nodes(const Forger& f,
                       const std::function<void(std::string&, std::size_t, std::size_t)>& edit) {
  std::string proof = good_proof(f);
  const auto pages = pages_of_c(f);
  if (pages.node_count() < 2) throw Error(Exit::failure, "the proof has too few nodes");
  edit(proof, body_at(proof) + pages.bytes(), pages.node_count());
  return proof;
}

std::string swapped_nodes(Forger& f) {
  return edit_nodes(f, [](std::string& proof, std::size_t at, std::size_t) {
    const auto first = proof.begin() + static_cast<std::ptrdiff_t>(at);
    std::swap_ranges(first, first + 32, first + 32);
  });
}

std::string duplicated_node(Forger& f) {
  return edit_nodes(f, [](std::string& proof, std::size_t at, std::size_t count) {
    proof.insert(at + 32 * count, proof.substr(at + 32 * (count - 1), 32));
  });
}

/// The first page replaced by the bytes of an inner node: its two children's digests.
std::string node_as_leaf(Forger& f) {
  return edit_nodes(f, [&](std::string& proof, std::size_t at, std::size_t) {
    const std::string children = proof.substr(at, 64);
    proof.replace(body_at(proof), 64, children);
  });
}

const FileForgery entries[] = {
    {"challenge-good", [](Forger& f) { return signed_text(f, schema::to_payload(challenge(f))); }},
    {"challenge-ground", ground},
    {"challenge-zero-nonce", [](Forger& f) { return with_nonce(f, Digest{}); }},
    {"challenge-time-nonce",
     [](Forger& f) { return with_nonce(f, crypto::sha256(as_bytes(f.receipt.ended))); }},
    {"challenge-short-nonce", short_nonce},
    {"challenge-lacking-input", lacking_input},
    {"challenge-chosen-seed", chosen_seed},
    {"challenge-no-draws", [](Forger& f) { return other_draws(f, "0"); }},
    {"challenge-huge-draws", [](Forger& f) { return other_draws(f, "1000001"); }},
    {"challenge-edited", edited},
    {"challenge-truncated",
     [](Forger& f) {
       const auto text = host::read_file(f.argument(0), schema::max_document_bytes);
       return text.substr(0, text.size() / 2);
     }},

    {"proof-good", [](Forger& f) { return good_proof(f); }},
    {"proof-empty", [](Forger&) { return std::string(); }},
    {"proof-no-header", [](Forger&) { return std::string(10'000, 'x'); }},
    {"proof-header-unknown",
     [](Forger& f) { return replaced(good_proof(f), "{\"a\":", "{\"0\":1,\"a\":"); }},
    {"proof-header-only",
     [](Forger& f) {
       const auto proof = good_proof(f);
       return proof.substr(0, body_at(proof));
     }},
    {"proof-truncated",
     [](Forger& f) {
       const auto proof = good_proof(f);
       return proof.substr(0, proof.size() - 1);
     }},
    {"proof-trailing", [](Forger& f) { return good_proof(f) + "x"; }},
    {"proof-relabelled",
     [](Forger& f) {
       return with_header(
           f, [&](auto& header) { header.challenge = challenge_digest(f.argument(1)); });
     }},
    {"proof-of-other-receipt",
     [](Forger& f) { return with_header(f, [](auto& header) { header.receipt = Digest{}; }); }},
    {"proof-a-by-seed",
     [](Forger& f) { return with_header(f, [](auto& header) { header.a = "seed"; }); }},
    {"proof-a-whole",
     [](Forger& f) { return with_header(f, [](auto& header) { header.a = "whole"; }); }},
    {"proof-a-nowhere",
     [](Forger& f) { return replaced(good_proof(f), "\"a\":\"", "\"a\":\"../"); }},
    {"proof-page-of-c", [](Forger& f) { return with_byte(f, 0); }},
    {"proof-last-byte",
     [](Forger& f) {
       const auto proof = good_proof(f);
       return with_byte(f, proof.size() - body_at(proof) - 1);
     }},
    {"proof-swapped-pages", swapped_pages},
    {"proof-swapped-nodes", swapped_nodes},
    {"proof-duplicated-node", duplicated_node},
    {"proof-node-as-leaf", node_as_leaf},
};

}  // namespace

std::span<const FileForgery> proofs() { return entries; }

}  // namespace volt::forge
