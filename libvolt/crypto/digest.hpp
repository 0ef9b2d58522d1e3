// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "libvolt/base/hex.hpp"

namespace volt::crypto {

/// SHA-256 by OpenSSL, in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& update(ByteView bytes);
  /// The digest of all bytes given; the object starts anew.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(ByteView bytes);

/// HMAC-SHA256 (RFC 2104).
Digest hmac(ByteView key, ByteView message);

/// Bytes from the operating system's generator; throws Error (failure) when it has none.
Digest random_digest();

/// Independent values from a 256-bit seed: SHA-256(seed || counter as 8 bytes, little-endian) for
/// counters 0, 1, ..., each block giving four 64-bit little-endian words (volt-receipt(5)).
class Expansion {
 public:
  explicit Expansion(const Digest& seed);
  std::uint64_t word();
  /// Uniform in [0, bound), bound > 0, by rejection of the incomplete last interval.
  std::uint64_t below(std::uint64_t bound);

 private:
  Digest seed_, block_;
  std::uint64_t counter_ = 0;
  unsigned used_ = 4;
};

}  // namespace volt::crypto
