// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "emulator.hpp"

// The functions of kernels/device_cuda.cuh in the emulator; include that. VOLT_ISA must differ
// between capabilities, so that both fit into one program.

namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr std::uint32_t capability = VOLT_EMULATED;
static_assert(capability == 75 || capability == 80);

inline std::uint32_t max_shared_bytes() { return emulator::max_shared_bytes(capability); }
inline std::uint32_t multiprocessor_count() { return 2; }  // so that small grids fill it

template <class Kernel>
Status launch(CudaStream, std::uint64_t blocks, const Kernel& kernel) {
  using Shared = typename Kernel::Shared;
  static_assert(Kernel::threads % 32 == 0 && Kernel::threads <= 1024 && Kernel::resident > 0);
  static_assert(alignof(Shared) <= 128);
  return emulator::run({blocks, Kernel::threads, capability,
                        std::is_empty_v<Shared> ? 0 : static_cast<std::uint32_t>(sizeof(Shared)),
                        [](const void* k, void* shared) {
                          (*static_cast<const Kernel*>(k))(*static_cast<Shared*>(shared));
                        },
                        &kernel});
}

inline std::uint32_t thread_index() { return emulator::thread_index(); }
inline std::uint32_t block_index() { return emulator::block_index(); }
inline std::uint32_t block_count() { return emulator::block_count(); }

inline void sync_block() { emulator::sync_block(); }
inline void sync_warp() { emulator::meet("sync_warp", nullptr, 0, nullptr); }

template <class T>
T shuffle(T value, std::uint32_t lane) {
  static_assert(sizeof value == 4 || sizeof value == 8);
  emulator::Slot* slots = emulator::meet("shuffle", &value, sizeof value, nullptr);
  __builtin_memcpy(&value, slots[lane % 32].bytes, sizeof value);
  return value;
}

template <class T>
T shuffle_xor(T value, std::uint32_t lane_mask) {
  return shuffle(value, (thread_index() % 32) ^ lane_mask);
}

inline bool any_in_warp(bool value) {
  const emulator::Slot* slots = emulator::meet("any_in_warp", &value, sizeof value, nullptr);
  bool any = false;
  for (int i = 0; i < 32; ++i) any = any || slots[i].bytes[0] != std::byte{0};
  return any;
}

inline void atomic_min(std::uint64_t* at, std::uint64_t value) {
  if (value < *at) *at = value;
}

inline void atomic_add(std::uint32_t* at, std::uint32_t value) { *at += value; }

inline void multiply_8x8x16(std::int32_t* d, std::uint32_t a, std::uint32_t b,
                            const std::int32_t* c) {
  emulator::multiply_8x8x16(d, a, b, c);
}

#if VOLT_EMULATED >= 80
inline void multiply_16x8x32(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                             const std::uint32_t (&b)[2], const std::int32_t (&c)[4]) {
  emulator::multiply_16x8x32(d, a, b, c);
}
#endif

template <class T>
T anew(T value) {
  return value;
}

inline SharedAddress::SharedAddress(const void* shared)
    : address(static_cast<const std::byte*>(shared)) {}
inline SharedAddress SharedAddress::after(std::uint32_t bytes) const {
  return SharedAddress(address + bytes);
}
inline SharedAddress SharedAddress::flip(std::uint32_t bits) const {
  return SharedAddress(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(address) ^ bits));
}

inline void load_matrices(std::uint32_t (&to)[4], SharedAddress row) {
  emulator::load_matrices(to, row.address);
}

inline void copy_async_16(SharedAddress to, const void* from, std::uint32_t bytes) {
  emulator::copy(to.address, from, 16, bytes, capability >= 80);
}
inline void copy_async_16(SharedAddress to, const void* from) { copy_async_16(to, from, 16); }
inline void copy_async_4(SharedAddress to, const void* from) {
  emulator::copy(to.address, from, 4, 4, capability >= 80);
}
inline void commit_copies() { emulator::commit_copies(); }
template <int newest>
void wait_for_copies() {
  emulator::wait_for_copies(newest);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
