// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "libvolt/base/event.hpp"
#include "libvolt/workload/matmul.hpp"

namespace volt::proof {

/// An element of C that is not what the job gives.
struct Mismatch {
  std::uint64_t row = 0, col = 0;
  std::string claimed, right;
};

/// "C[3, 17] is 1.5, not 1.25"
std::string to_text(const Mismatch& mismatch);

/// Compares the bits of one element with the right ones.
std::optional<Mismatch> compare(const workload::Geometry& geometry, std::uint64_t unit,
                                const std::uint8_t* claimed, const std::uint8_t* right);

/// Computes the given units again and compares them with `c` bit for bit.
std::optional<Mismatch> replay_units(const workload::Geometry& geometry, workload::Product& product,
                                     ByteView c, std::span<const std::uint64_t> units, Sink& sink,
                                     std::stop_token stop);

/// The same for every unit.
std::optional<Mismatch> replay_all(const workload::Geometry& geometry, workload::Product& product,
                                   ByteView c, Sink& sink, std::stop_token stop);

}  // namespace volt::proof
