// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace volt::lm {

/// How many elements of a row of FlyLoRA's A are not 0, of [rank, in] with `active` ranks a token:
/// in * active / rank to the nearest, halves up, and at least one.
std::uint64_t nonzeros_of(std::uint64_t rank, std::uint64_t in, std::uint64_t active);

/// FlyLoRA's A (arXiv 2510.08396, section 3), [rank, in]: `nonzeros` elements of each row, at
/// places drawn without repetition, of N(0, 1 / rank^2); the others are +0. A function of (seed,
/// stream) alone. Element e, counted by rows, has block e of that Philox stream. Word 0 is its lot:
/// drawn are those with the least lots of their row, of equal ones the first. With u = (2 (word 1 /
/// 2^9)
/// + 1) 2^-24, in (0, 1) and exact, and a turn of word 2 / 2^32, its value is that of Box and
/// Muller, (sqrt(-2 log(u)) cos(turn)) / rank, each sign one rounding in fp32.
std::vector<float> sparse_projection(std::uint64_t rank, std::uint64_t in, std::uint64_t nonzeros,
                                     std::uint64_t seed, std::uint32_t stream);

}  // namespace volt::lm
