// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace volt::kernels {

/// FIPS 180-4's compression function over `blocks` blocks of 64 bytes.
using Sha256Compress = void (*)(std::uint32_t state[8], const std::uint8_t* data,
                                std::size_t blocks);

void sha256_compress_scalar(std::uint32_t state[8], const std::uint8_t* data, std::size_t blocks);

/// The fastest that this CPU has: its SHA instructions, or the scalar one.
Sha256Compress sha256_compress_best();

/// SHA-256 of `prefix_size` (at most 64) bytes of prefix and then `size` bytes.
void sha256(Sha256Compress compress, const std::uint8_t* prefix, std::size_t prefix_size,
            const std::uint8_t* data, std::size_t size, std::uint8_t digest[32]);

/// The leaf digests, SHA-256(0x00 || page), of pages of 4096 bytes; the last may be short.
void leaf_digests(const std::uint8_t* data, std::uint64_t bytes, std::uint8_t* digests);

}  // namespace volt::kernels
