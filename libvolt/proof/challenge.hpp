// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/schema/challenge.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::proof {

/// The seed of every random choice of a check: SHA-256 over length-prefixed fields, each as 8 bytes
/// little-endian and its bytes: "volt.challenge/1", job digest, profile, every shape, every input
/// and output root with its name, trace root, unit count, nonce (volt-receipt(5)). Signature,
/// times and telemetry do not enter: the prover chooses them.
Digest challenge_seed(const schema::Receipt& receipt, const Digest& nonce);

/// A fresh challenge to the receipt with this payload. The caller signs it.
schema::Challenge make_challenge(std::string_view receipt_payload, const schema::Receipt& receipt,
                                 std::uint64_t draws, const crypto::PublicKey& verifier);

/// Throws Error (verification_failed) unless the challenge is to this receipt and its seed follows
/// from the nonce and everything public.
void check_challenge(const schema::Challenge& challenge, std::string_view receipt_payload,
                     const schema::Receipt& receipt);

/// `count` independent draws from [0, units), in ascending order, each unit once.
std::vector<std::uint64_t> drawn_units(const Digest& seed, std::uint64_t count,
                                       std::uint64_t units);

/// The chance that `count` draws see nothing when a share `wrong` of the units is wrong.
double chance_of_missing(std::uint64_t count, double wrong);

}  // namespace volt::proof
