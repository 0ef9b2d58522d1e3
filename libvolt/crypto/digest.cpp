// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/digest.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "libvolt/base/error.hpp"

namespace volt::crypto {
namespace {

void demand(int result) {
  if (result != 1) throw Error(Exit::failure, "SHA-256 fails in OpenSSL");
}

/// Fetched once for the life of the process: looking it up costs more than hashing a node.
const EVP_MD* algorithm() {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
}

}  // namespace

struct Sha256::State {
  State() { begin(); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void begin() { demand(EVP_DigestInit_ex2(context, algorithm(), nullptr)); }

  EVP_MD_CTX* context = EVP_MD_CTX_new();
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(ByteView bytes) {
  demand(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
  return *this;
}

Digest Sha256::finish() {
  Digest digest;
  unsigned size = 0;
  demand(EVP_DigestFinal_ex(state_->context, digest.bytes.data(), &size));
  state_->begin();
  return digest;
}

Digest sha256(ByteView bytes) {
  // One context per thread: trees hash tens of millions of short texts.
  thread_local Sha256 hasher;
  return hasher.update(bytes).finish();
}

Digest hmac(ByteView key, ByteView message) {
  Digest digest;
  unsigned size = 0;
  const std::uint8_t none = 0;  // a null key would mean "the one before"
  if (HMAC(EVP_sha256(), key.empty() ? &none : key.data(), static_cast<int>(key.size()),
           message.data(), message.size(), digest.bytes.data(), &size) == nullptr ||
      size != digest.bytes.size()) {
    throw Error(Exit::failure, "OpenSSL cannot compute an HMAC");
  }
  return digest;
}

Digest random_digest() {
  Digest digest;
  std::size_t have = 0;
  while (have < digest.bytes.size()) {
    const ssize_t got = getrandom(digest.bytes.data() + have, digest.bytes.size() - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw_system(errno, "cannot read random bytes", {}, Exit::failure);
    have += static_cast<std::size_t>(got);
  }
  return digest;
}

Expansion::Expansion(const Digest& seed) : seed_(seed) {}

std::uint64_t Expansion::word() {
  if (used_ == 4) {
    std::array<std::uint8_t, 40> input;
    std::memcpy(input.data(), seed_.bytes.data(), 32);
    for (unsigned i = 0; i < 8; ++i) {
      input[32 + i] = static_cast<std::uint8_t>(counter_ >> (8 * i));
    }
    block_ = sha256(input);
    ++counter_;
    used_ = 0;
  }
  std::uint64_t word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    word |= std::uint64_t{block_.bytes[8 * used_ + i]} << (8 * i);
  }
  ++used_;
  return word;
}

std::uint64_t Expansion::below(std::uint64_t bound) {
  if (bound == 0) throw Error(Exit::failure, "nothing is below 0");
  for (;;) {
    const std::uint64_t value = word();
    if (value < bound) return value;  // most often so for a large bound, without a division
    // 2^64 modulo `bound` values are left over; the topmost so many words are refused.
    const std::uint64_t rest = (0 - bound) % bound;
    if (value <= UINT64_MAX - rest) return value % bound;
  }
}

}  // namespace volt::crypto
