// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/replay.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"

namespace volt::proof {
namespace {

void stop_if_asked(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
}

std::string element_text(const workload::Geometry& geometry, const std::uint8_t* bytes) {
  if (geometry.profile == "i8") {
    std::int32_t value = 0;
    std::memcpy(&value, bytes, 4);
    return std::to_string(value);
  }
  float value = 0;
  std::uint32_t bits = 0;
  std::memcpy(&value, bytes, 4);
  std::memcpy(&bits, bytes, 4);
  char text[48];
  std::snprintf(text, sizeof text, "%.9g (0x%08x)", static_cast<double>(value), bits);
  return text;
}

}  // namespace

std::string to_text(const Mismatch& mismatch) {
  return "C[" + std::to_string(mismatch.row) + ", " + std::to_string(mismatch.col) + "] is " +
         mismatch.claimed + ", not " + mismatch.right;
}

std::optional<Mismatch> compare(const workload::Geometry& geometry, std::uint64_t unit,
                                const std::uint8_t* claimed, const std::uint8_t* right) {
  if (std::memcmp(claimed, right, 4) == 0) return std::nullopt;
  return Mismatch{unit / geometry.n, unit % geometry.n, element_text(geometry, claimed),
                  element_text(geometry, right)};
}

std::optional<Mismatch> replay_units(const workload::Geometry& geometry, workload::Product& product,
                                     ByteView c, std::span<const std::uint64_t> units, Sink& sink,
                                     std::stop_token stop) {
  constexpr std::uint64_t at_a_time = 4096;
  std::vector<std::uint8_t> right(4 * std::min<std::uint64_t>(at_a_time, units.size()));
  for (std::uint64_t done = 0; done < units.size(); done += at_a_time) {
    stop_if_asked(stop);
    sink.send(Progress{"replay", done, units.size(), "elements"});
    const auto these = units.subspan(done, std::min(at_a_time, units.size() - done));
    product.elements(these, right.data());
    for (std::uint64_t i = 0; i < these.size(); ++i) {
      const std::uint8_t* claimed = c.data() + 4 * these[i];
      if (auto mismatch = compare(geometry, these[i], claimed, right.data() + 4 * i)) {
        return mismatch;
      }
    }
  }
  sink.send(Progress{"replay", units.size(), units.size(), "elements"});
  return std::nullopt;
}

std::optional<Mismatch> replay_all(const workload::Geometry& geometry, workload::Product& product,
                                   ByteView c, Sink& sink, std::stop_token stop) {
  if (geometry.units() == 0) return std::nullopt;  // there may be 2^60 empty rows
  const std::uint64_t step = product.rows_per_step();
  for (std::uint64_t row = 0; row < geometry.m; row += step) {
    stop_if_asked(stop);
    sink.send(Progress{"replay", row, geometry.m, "rows"});
    const std::uint64_t rows = std::min(step, geometry.m - row);
    Bytes right(4 * rows * geometry.n);
    product.tile(row, rows, 0, geometry.n, right.data());
    const std::uint8_t* claimed = c.data() + 4 * row * geometry.n;
    if (std::memcmp(claimed, right.data(), right.size()) == 0) continue;
    for (std::uint64_t i = 0; i < rows * geometry.n; ++i) {
      auto mismatch =
          compare(geometry, row * geometry.n + i, claimed + 4 * i, right.data() + 4 * i);
      if (mismatch) return mismatch;
    }
  }
  sink.send(Progress{"replay", geometry.m, geometry.m, "rows"});
  return std::nullopt;
}

}  // namespace volt::proof
