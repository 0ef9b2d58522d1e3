// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/measured.hpp"
#include "device.hpp"
#include "parity.hpp"
#include "peers.hpp"

/// How fast the rows of a backend are, each in one run with its peer: warmed up, sample by sample
/// in turn, on the same random data, with more sets of operands than the last cache holds.
namespace volt::gpu {

/// Products in 10^12 operations a second, a multiplication and an addition being two. `quick` has
/// tiny shapes, which say nothing about speed. A row that cannot be had is left out, and stderr
/// says why.
void measure_products(Device& device, Peers& peers, Extent extent, std::vector<bench::Row>& rows);

/// What is bound by memory, in bytes read and written a second, beside the driver's own copy.
void measure_streams(Device& device, Peers& peers, Extent extent, std::vector<bench::Row>& rows);

/// Attention, in 10^9 operations a second; it has no peer. Drawing, in tokens a second.
void measure_network(Device& device, Peers& peers, Extent extent, std::vector<bench::Row>& rows);

/// Says what begins, measures it, and keeps its row.
template <class Measure>
void add_row(std::vector<bench::Row>& rows, const std::string& what, Measure measure) {
  std::fprintf(stderr, "speed: %s\n", what.c_str());
  try {
    rows.push_back(measure());
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "left out: %s: %s\n", what.c_str(), error.what());
  }
}

}  // namespace volt::gpu
