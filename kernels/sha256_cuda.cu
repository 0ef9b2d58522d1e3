// SPDX-License-Identifier: Apache-2.0

#include "operations_cuda.hpp"
#include "sha256.hpp"
#include "words_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

// A page a thread, straight from global memory: SHA-256 takes some 1,500 instructions for each 64
// bytes, so that it does not matter that the lanes of a warp read 4 KiB apart.
struct PageDigests {
  static constexpr unsigned threads = 64, resident = 12;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t page = std::uint64_t{block_index()} * threads + thread_index();
    const std::uint64_t begin = page * page_bytes;
    if (begin >= bytes) return;
    const std::uint64_t left = bytes - begin;
    const bool whole = left >= page_bytes && is_aligned(data + begin, 16);
    const Sha256State state =
        whole ? whole_page(data + begin)
              : any_page(data + begin, static_cast<std::uint32_t>(least(left, page_bytes)));
    for (int i = 0; i < 8; ++i) digests[page * 8 + i] = swapped_bytes(state.word[i]);
  }

  // The leaf is a byte 0x00 and the page, whose bytes thus lie one further than in memory: a word
  // of the message is the end of one of the page's words and the beginning of the next.
  static VOLT_DEVICE Sha256State whole_page(const std::uint8_t* page) {
    Sha256State state;
    std::uint32_t w[16], before = 0;
    for (std::uint32_t block = 0; block < page_bytes / 64; ++block, page += 64) {
      for (int i = 0; i < 16; i += 4) {
        const Words words = load_16(page + 4 * i);
        for (int j = 0; j < 4; ++j) {
          const std::uint32_t word = swapped_bytes(words.word[j]);
          w[i + j] = before << 24 | word >> 8;
          before = word;
        }
      }
      sha256_block(state, w);
    }
    for (std::uint32_t& word : w) word = 0;
    w[0] = before << 24 | 0x800000u;
    w[15] = (page_bytes + 1) * 8;
    sha256_block(state, w);
    return state;
  }

  // Byte by byte: a short page, or one at an odd address.
  static VOLT_DEVICE Sha256State any_page(const std::uint8_t* page, std::uint32_t size) {
    Sha256State state;
    const std::uint32_t message = size + 1, end = (message + 8) / 64 * 64 + 64;
    for (std::uint32_t begin = 0; begin < end; begin += 64) {
      std::uint32_t w[16];
      for (std::uint32_t i = 0; i < 16; ++i) {
        w[i] = 0;
        for (std::uint32_t at = begin + 4 * i; at < begin + 4 * i + 4; ++at) {
          const bool inside = at != 0 && at < message;
          w[i] = w[i] << 8 | (inside ? page[at - 1] : at == message ? 0x80u : 0u);
        }
      }
      if (begin + 64 == end) w[15] = message * 8;
      sha256_block(state, w);
    }
    return state;
  }

  static VOLT_DEVICE std::uint64_t least(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

  const std::uint8_t* data;
  std::uint64_t bytes;
  std::uint32_t* digests;
};

}  // namespace

Status cuda_page_digests(CudaStream stream, const std::uint8_t* data, std::uint64_t bytes,
                         std::uint8_t* digests) {
  constexpr std::uint64_t per_block = PageDigests::threads * page_bytes;
  return launch(stream, (bytes - 1) / per_block + 1,
                PageDigests{data, bytes, reinterpret_cast<std::uint32_t*>(digests)});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
