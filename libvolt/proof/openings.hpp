// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "libvolt/base/hex.hpp"
#include "libvolt/proof/replay.hpp"
#include "libvolt/schema/challenge.hpp"
#include "libvolt/schema/receipt.hpp"
#include "libvolt/workload/matmul.hpp"

/// A proof shows a verifier without the outputs just those parts of C, A and B that its draws need,
/// each tied to the receipt's roots. Which parts follows from the challenge alone: the file names
/// nothing that could be lied about. Layout, byte by byte: volt-receipt(5).
namespace volt::proof {

/// The pages that hold the lines needed of one tensor, ascending.
struct Pages {
  tensor::Description description;
  std::vector<std::uint64_t> numbers;

  std::uint64_t bytes() const;       ///< of the pages' contents
  std::uint64_t node_count() const;  ///< of the Merkle nodes that tie them to the root
};

/// What the drawn units need of C, A and B. Throws Error (code) for tensors of more than 2^39
/// bytes.
struct Needed {
  Pages c, a, b;
};
Needed needed(const workload::Geometry& geometry, const tensor::Description& a,
              const tensor::Description& b, std::span<const std::uint64_t> units);

/// A tensor of the prover: its elements as stored and the leaf digests of its pages.
struct Evidence {
  ByteView elements;
  std::vector<Digest> leaves;
};

/// How an operand is opened at least cost: "seed", "pages" or "whole".
std::string_view cheapest(const Pages& pages, bool seeded);

/// Bytes that opening `pages` so takes.
std::uint64_t opening_bytes(const Pages& pages, std::string_view way);

/// Appends an opening: the pages, then the nodes; or all elements; or nothing for a seed.
/// `write` is called with pieces in order.
void write_opening(const Pages& pages, const Evidence& evidence, std::string_view way,
                   const std::function<void(ByteView)>& write);

/// The openings of a proof file, checked against the receipt's roots. The file's bytes must outlive
/// it.
class Openings {
 public:
  /// `body` is what follows the header line. Operands opened by seed are taken from `made_a` and
  /// `made_b`. Throws Error (verification_failed) when something is missing, left over, or does not
  /// lead to the roots.
  Openings(const schema::Receipt& receipt, const schema::ProofHeader& header, const Needed& needed,
           ByteView body, ByteView made_a, ByteView made_b);

  /// Computes each unit from the opened parts and compares it with C's opened element.
  std::optional<Mismatch> check(const workload::Geometry& geometry,
                                std::span<const std::uint64_t> units, device::Device& device,
                                Sink& sink, std::stop_token stop) const;

 private:
  struct Opened {
    const Pages* pages = nullptr;  ///< null: `bytes` are all elements
    ByteView bytes;
    const std::uint8_t* element(std::uint64_t index, std::uint64_t size) const;
  };
  Opened c_, a_, b_;
};

}  // namespace volt::proof
