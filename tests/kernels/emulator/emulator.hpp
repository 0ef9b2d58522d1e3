// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.hpp"

/// Runs blocks of GPU threads on one CPU thread, as strictly as it can: a fiber a thread, blocks
/// and threads in shuffled order, shared memory that starts as garbage, asynchronous copies that
/// arrive no earlier than they are waited for. What a GPU would leave undefined becomes a failed
/// status that names block and thread. One launch at a time.
namespace volt::kernels::emulator {

struct Launch {
  std::uint64_t blocks;
  std::uint32_t threads;       ///< per block
  std::uint32_t capability;    ///< 75 or 80
  std::uint32_t shared_bytes;  ///< per block
  void (*body)(const void* kernel, void* shared);
  const void* kernel;
};

/// Refused: too much shared memory. Failed: a thread returned while others wait, threads wait at
/// different places, warps call different functions together, an address outside of shared memory
/// or not aligned, shared memory overrun, copies still on their way at the end.
Status run(const Launch& launch);

std::uint32_t max_shared_bytes(std::uint32_t capability);

// What follows is called by threads.

std::uint32_t thread_index();
std::uint32_t block_index();
std::uint32_t block_count();
void sync_block();

/// What a lane brings to a meeting of its warp, and what it takes away.
struct Slot {
  alignas(16) std::byte bytes[48];
};

/// Leaves `bytes` bytes in the own slot and waits for the other 31 lanes. The last to come calls
/// `act` on all 32 slots. They stay as they are until the warp's next meeting but one.
Slot* meet(const char* what, const void* own, std::uint32_t bytes, void (*act)(Slot* slots));

void multiply_16x8x32(std::int32_t* d, const std::uint32_t* a, const std::uint32_t* b,
                      const std::int32_t* c);
/// D[8,8] = A[8,16] * B[16,8] + C, in fragments of one word of A, one of B, two of C and D.
void multiply_8x8x16(std::int32_t* d, std::uint32_t a, std::uint32_t b, const std::int32_t* c);
void load_matrices(std::uint32_t* to, const void* row);

/// `size` bytes, of which `bytes` are read and the rest is 0; with `later`, garbage until waited
/// for.
void copy(const void* shared, const void* global, std::uint32_t size, std::uint32_t bytes,
          bool later);
void commit_copies();
void wait_for_copies(std::uint32_t newest);

}  // namespace volt::kernels::emulator
