// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "backend.hpp"
#include "exact.hpp"

/// All of CUDA that our kernels use beyond plain C++, so that the same sources compile for a GPU
/// and, with VOLT_EMULATED=75 or 80 (a compute capability), for the emulator of blocks in
/// tests/kernels/emulator, which runs them on a CPU and reports what a GPU would do silently.
///
/// A kernel is a struct of plain parameters:
///
///     struct Scale {
///       static constexpr unsigned threads = 256;       // per block, a multiple of 32
///       static constexpr unsigned resident = 2;        // blocks that share a multiprocessor
///       struct Shared { float tile[256]; };            // of a block; starts as garbage
///       VOLT_DEVICE void operator()(Shared& shared) const;  // one thread's work
///       float* x; float by;
///     };
///     launch(stream, blocks, Scale{x, 2.0f});

#if defined(VOLT_EMULATED)
#define VOLT_CAPABILITY VOLT_EMULATED
#define VOLT_DEVICE inline
#define VOLT_UNROLL
#else
#define VOLT_CAPABILITY (__CUDA_ARCH__ / 10)
#include <cuda_runtime.h>
#define VOLT_DEVICE __device__ __forceinline__
#define VOLT_UNROLL _Pragma("unroll")  // before loops whose arrays must be registers
#endif

struct CUstream_st;

namespace volt::kernels {

using CudaStream = CUstream_st*;  ///< cudaStream_t

inline namespace VOLT_ISA {

/// Queues `blocks` blocks of the kernel. The status is that of the launch; what goes wrong while it
/// runs shows in a later call (in the emulator at once).
template <class Kernel>
Status launch(CudaStream stream, std::uint64_t blocks, const Kernel& kernel);

/// Of the current device: the most shared memory that a block may have, and what runs blocks.
std::uint32_t max_shared_bytes();
std::uint32_t multiprocessor_count();

// The rest is for kernels. "Warp" functions are for all 32 threads of one at once.

VOLT_DEVICE std::uint32_t thread_index();  ///< in its block
VOLT_DEVICE std::uint32_t block_index();   ///< in the grid
VOLT_DEVICE std::uint32_t block_count();

VOLT_DEVICE void sync_block();  ///< no thread goes on before all of the block are here
VOLT_DEVICE void sync_warp();

/// The `value` of another lane. T has 4 or 8 bytes.
template <class T>
VOLT_DEVICE T shuffle(T value, std::uint32_t lane);
template <class T>
VOLT_DEVICE T shuffle_xor(T value, std::uint32_t lane_mask);
VOLT_DEVICE bool any_in_warp(bool value);

/// *at = min(*at, value) and *at += value, in global memory, by any number of threads.
VOLT_DEVICE void atomic_min(std::uint64_t* at, std::uint64_t value);
VOLT_DEVICE void atomic_add(std::uint32_t* at, std::uint32_t value);

/// Warp: D[16,8] = A[16,32] * B[32,8] + C of int8 and int32, sums wrap around. With r = lane / 4
/// and c = lane % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k32"), four bytes to a word, lowest
/// first:
///   a[0..3]: A(r, 4c..), A(r+8, 4c..), A(r, 16+4c..), A(r+8, 16+4c..)
///   b[0..1]: B(4c.., r), B(16+4c.., r)
///   c, d[0..3]: (r, 2c), (r, 2c+1), (r+8, 2c), (r+8, 2c+1)
VOLT_DEVICE void multiply_16x8x32(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                  const std::uint32_t (&b)[2], const std::int32_t (&c)[4]);

/// Warp: a quarter of it, D[8,8] = A[8,16] * B[16,8] + C: a is A(r, 4c..), b is B(4c.., r), and c,
/// d are (r, 2c), (r, 2c+1).
VOLT_DEVICE void multiply_8x8x16(std::int32_t* d, std::uint32_t a, std::uint32_t b,
                                 const std::int32_t* c);

/// The same number, of which the compiler no longer knows how it came about: neither is it worked
/// out again where it is used, nor is what follows from it kept in registers from an earlier use.
template <class T>
VOLT_DEVICE T anew(T value);

/// A place in shared memory, worked out once and from there by constants.
struct SharedAddress {
  VOLT_DEVICE explicit SharedAddress(const void* shared);
  VOLT_DEVICE SharedAddress after(std::uint32_t bytes) const;
  VOLT_DEVICE SharedAddress flip(std::uint32_t bits) const;  ///< within an aligned structure
#if defined(VOLT_EMULATED)
  const std::byte* address;
#else
  std::uint32_t address;
#endif
};

/// Warp: reads four matrices of 8 rows x 16 bytes in shared memory. Lane l gives the address, a
/// multiple of 16, of row l % 8 of matrix l / 8; to[i] is word l % 4 of row l / 4 of matrix i.
VOLT_DEVICE void load_matrices(std::uint32_t (&to)[4], SharedAddress row);

/// Copies from global to shared memory that go on beside the thread (compute capability 8.0; before
/// it they are done at once). 16 bytes between multiples of 16, of which the first `bytes`, if
/// given, are read and the rest become 0; or 4 bytes between multiples of 4.
VOLT_DEVICE void copy_async_16(SharedAddress to, const void* from, std::uint32_t bytes);
VOLT_DEVICE void copy_async_16(SharedAddress to, const void* from);
VOLT_DEVICE void copy_async_4(SharedAddress to, const void* from);
/// All copies of the thread since the last call become one batch.
VOLT_DEVICE void commit_copies();
/// Waits for the thread's own batches but the `newest`; other threads see them after sync_block().
template <int newest>
VOLT_DEVICE void wait_for_copies();

}  // namespace VOLT_ISA
}  // namespace volt::kernels

#if defined(VOLT_EMULATED)
#include "device_emulated.hpp"
#else
#include "device_gpu.cuh"
#endif

#if VOLT_CAPABILITY < 80
namespace volt::kernels {
inline namespace VOLT_ISA {

VOLT_DEVICE void multiply_16x8x32(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                  const std::uint32_t (&b)[2], const std::int32_t (&c)[4]) {
  multiply_8x8x16(d, a[0], b[0], c);
  multiply_8x8x16(d + 2, a[1], b[0], c + 2);
  multiply_8x8x16(d, a[2], b[1], d);
  multiply_8x8x16(d + 2, a[3], b[1], d + 2);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
#endif
