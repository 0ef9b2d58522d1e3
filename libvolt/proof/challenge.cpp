// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/challenge.hpp"

#include <algorithm>
#include <cmath>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::proof {
namespace {

/// Hashes fields so that no two lists of fields give the same bytes.
class Transcript {
 public:
  Transcript& add(ByteView field) {
    add_length(field.size());
    hash_.update(field);
    return *this;
  }
  Transcript& add(std::string_view field) { return add(as_bytes(field)); }
  Transcript& add(const Digest& digest) { return add(ByteView(digest.bytes)); }
  Transcript& add(std::uint64_t number) {
    std::array<std::uint8_t, 8> bytes = little_endian(number);
    return add(ByteView(bytes));
  }
  Digest finish() { return hash_.finish(); }

 private:
  static std::array<std::uint8_t, 8> little_endian(std::uint64_t number) {
    std::array<std::uint8_t, 8> bytes{};
    for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
    return bytes;
  }
  void add_length(std::uint64_t length) { hash_.update(little_endian(length)); }
  crypto::Sha256 hash_;
};

}  // namespace

Digest challenge_seed(const schema::Receipt& receipt, const Digest& nonce) {
  Transcript transcript;
  transcript.add(schema::challenge_schema).add(receipt.job).add(receipt.profile);
  transcript.add(std::uint64_t{receipt.inputs.size()});
  for (const auto& input : receipt.inputs) {
    transcript.add(input.name);
    if (input.tensor) transcript.add(tensor::pages_header(input.tensor->description));
    transcript.add(input.identity());
  }
  transcript.add(std::uint64_t{receipt.outputs.size()});
  for (const auto& output : receipt.outputs) {
    transcript.add(output.name).add(output.sha256);
    if (output.tensor) {
      transcript.add(tensor::pages_header(output.tensor->description)).add(output.tensor->pages);
    }
  }
  return transcript.add(receipt.trace_root).add(receipt.units).add(nonce).finish();
}

schema::Challenge make_challenge(std::string_view receipt_payload, const schema::Receipt& receipt,
                                 std::uint64_t draws, const crypto::PublicKey& verifier) {
  schema::Challenge challenge;
  challenge.receipt = crypto::sha256(as_bytes(receipt_payload));
  challenge.nonce = crypto::random_digest();
  challenge.seed = challenge_seed(receipt, challenge.nonce);
  challenge.draws = std::min(draws, schema::max_draws);
  challenge.signer = verifier.der();
  return challenge;
}

void check_challenge(const schema::Challenge& challenge, std::string_view receipt_payload,
                     const schema::Receipt& receipt) {
  if (challenge.receipt != crypto::sha256(as_bytes(receipt_payload))) {
    throw Error(Exit::verification_failed, "the challenge is to another receipt",
                "every receipt needs a challenge of its own: gpu-verify challenge RECEIPT");
  }
  if (challenge.seed != challenge_seed(receipt, challenge.nonce)) {
    throw Error(Exit::verification_failed,
                "the challenge's seed does not follow from its nonce and the receipt",
                "a seed that leaves out something public, or was chosen, proves nothing");
  }
}

std::vector<std::uint64_t> drawn_units(const Digest& seed, std::uint64_t count,
                                       std::uint64_t units) {
  std::vector<std::uint64_t> drawn;
  if (units == 0) return drawn;
  crypto::Expansion expansion(seed);
  drawn.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) drawn.push_back(expansion.below(units));
  std::sort(drawn.begin(), drawn.end());
  drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
  return drawn;
}

double chance_of_missing(std::uint64_t count, double wrong) {
  return wrong >= 1 ? 0 : std::exp(static_cast<double>(count) * std::log1p(-wrong));
}

}  // namespace volt::proof
