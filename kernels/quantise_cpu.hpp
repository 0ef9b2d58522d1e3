// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// Elements made one by one: quantised, or random. Compiled once per instruction set; the contracts
/// are those of the rows of Loops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void quantise_row(const float* x, std::uint64_t cols, std::int8_t* q, float* scales);
void quantise_columns(const float* x, std::uint64_t stride, std::uint64_t rows, std::uint64_t cols,
                      std::int8_t* q, std::uint64_t q_stride, float* scales);
void fill_f32(float* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
              std::uint64_t first);
void fill_i8(std::int8_t* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
             std::uint64_t first);

constexpr std::uint64_t batch_words = 64;

// Words [4 * block, 4 * block + 64) of a stream.
void random_words(std::uint32_t (&words)[batch_words], std::uint64_t seed, std::uint32_t stream,
                  std::uint64_t block);

}  // namespace VOLT_ISA
}  // namespace volt::kernels
