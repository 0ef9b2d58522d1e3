// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libvolt/base/hex.hpp"
#include "libvolt/crypto/keys.hpp"

namespace volt::schema {

inline constexpr std::string_view challenge_schema = "volt.challenge/1";
inline constexpr std::string_view challenge_predicate = "urn:volt:challenge/1";
/// What a verifier asks of a prover after it holds the receipt. Signed by the verifier, so that a
/// prover cannot hand it one of its own choosing.
struct Challenge {
  Digest receipt;           ///< SHA-256 of the receipt's payload
  Digest nonce;             ///< N: 32 random bytes of the verifier
  Digest seed;              ///< what nonce and receipt give (volt-receipt(5))
  std::uint64_t draws = 0;  ///< elements to open
  Bytes signer;             ///< DER of the verifier's public key
};

std::string to_payload(const Challenge& challenge);
/// Throws Error (verification_failed) naming `origin`.
Challenge parse_challenge(std::string_view payload, std::string_view origin);

/// A challenge whose signature was checked against the key that it names.
struct SignedChallenge {
  Challenge challenge;
  Digest digest;  ///< SHA-256 of the payload: how a proof names the challenge
  crypto::PublicKey signer;
};
SignedChallenge open_challenge(std::string_view envelope, std::string_view origin);

inline constexpr std::string_view proof_schema = "volt.proof/1";

/// The first line of a proof file; the openings follow as bytes (volt-receipt(5)).
struct ProofHeader {
  Digest challenge;  ///< SHA-256 of the challenge's payload
  Digest receipt;
  std::string a, b;  ///< how operands are opened: "pages", "whole", "seed"
};

std::string to_line(const ProofHeader& header);  ///< ends with a newline
ProofHeader parse_proof_header(std::string_view line, std::string_view origin);

}  // namespace volt::schema
