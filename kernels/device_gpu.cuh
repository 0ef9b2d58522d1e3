// SPDX-License-Identifier: Apache-2.0
#pragma once

// The functions of device_cuda.cuh on a GPU; include that.

namespace volt::kernels {
inline namespace VOLT_ISA {

template <class Kernel>
constexpr std::uint32_t shared_bytes = std::is_empty_v<typename Kernel::Shared>
                                           ? 0
                                           : sizeof(typename Kernel::Shared);

template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, Kernel::resident)
    enter(const __grid_constant__ Kernel kernel) {
  extern __shared__ __align__(128) unsigned char memory[];
  static_assert(alignof(typename Kernel::Shared) <= 128);
  kernel(*reinterpret_cast<typename Kernel::Shared*>(memory));
}

inline Status status_of(cudaError_t error) {
  if (error == cudaSuccess) return {};
  return {error == cudaErrorMemoryAllocation ? Status::out_of_memory : Status::failed,
          cudaGetErrorString(error)};
}

template <class Kernel>
Status launch(CudaStream stream, std::uint64_t blocks, const Kernel& kernel) {
  static_assert(Kernel::threads % 32 == 0 && Kernel::threads <= 1024);
  if (blocks == 0) return {};
  if (blocks > 0x7fffffffu) return {Status::invalid, "more blocks than a GPU counts"};
  constexpr std::uint32_t shared = shared_bytes<Kernel>;
  if constexpr (shared > 48 * 1024) {  // what a kernel gets unasked
    const cudaError_t error = cudaFuncSetAttribute(
        enter<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) {
      cudaGetLastError();  // or the next launch would be blamed
      return status_of(error);
    }
  }
  enter<Kernel><<<static_cast<unsigned>(blocks), Kernel::threads, shared, stream>>>(kernel);
  return status_of(cudaGetLastError());
}

inline std::uint32_t device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  if (cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return static_cast<std::uint32_t>(value);
}

inline std::uint32_t max_shared_bytes() {
  return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
}
inline std::uint32_t multiprocessor_count() {
  return device_attribute(cudaDevAttrMultiProcessorCount);
}

VOLT_DEVICE std::uint32_t thread_index() { return threadIdx.x; }
VOLT_DEVICE std::uint32_t block_index() { return blockIdx.x; }
VOLT_DEVICE std::uint32_t block_count() { return gridDim.x; }

VOLT_DEVICE void sync_block() { __syncthreads(); }
VOLT_DEVICE void sync_warp() { __syncwarp(); }

template <class T>
VOLT_DEVICE T shuffle(T value, std::uint32_t lane) {
  return __shfl_sync(0xffffffffu, value, static_cast<int>(lane));
}
template <class T>
VOLT_DEVICE T shuffle_xor(T value, std::uint32_t lane_mask) {
  return __shfl_xor_sync(0xffffffffu, value, static_cast<int>(lane_mask));
}
VOLT_DEVICE bool any_in_warp(bool value) { return __any_sync(0xffffffffu, value) != 0; }

VOLT_DEVICE void atomic_min(std::uint64_t* at, std::uint64_t value) {
  atomicMin(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(value));
}

VOLT_DEVICE void atomic_add(std::uint32_t* at, std::uint32_t value) { atomicAdd(at, value); }

VOLT_DEVICE void multiply_8x8x16(std::int32_t* d, std::uint32_t a, std::uint32_t b,
                                 const std::int32_t* c) {
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%4, %5};"
               : "=r"(d[0]), "=r"(d[1])
               : "r"(a), "r"(b), "r"(c[0]), "r"(c[1]));
}

#if VOLT_CAPABILITY >= 80
VOLT_DEVICE void multiply_16x8x32(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                  const std::uint32_t (&b)[2], const std::int32_t (&c)[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(c[0]), "r"(c[1]),
        "r"(c[2]), "r"(c[3]));
}
#endif

template <class T>
VOLT_DEVICE T anew(T value) {
  static_assert(sizeof value == 4);
  asm volatile("" : "+r"(value));
  return value;
}

VOLT_DEVICE std::uint32_t shared_address(const void* shared) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}

// The empty statement hides where the address comes from: the compiler would work it out anew for
// each copy, which costs more than the copy.
VOLT_DEVICE SharedAddress::SharedAddress(const void* shared) : address(shared_address(shared)) {
  asm volatile("" : "+r"(address));
}
VOLT_DEVICE SharedAddress SharedAddress::after(std::uint32_t bytes) const {
  SharedAddress other = *this;
  other.address += bytes;
  return other;
}
VOLT_DEVICE SharedAddress SharedAddress::flip(std::uint32_t bits) const {
  SharedAddress other = *this;
  other.address ^= bits;
  return other;
}

VOLT_DEVICE void load_matrices(std::uint32_t (&to)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row.address)
               : "memory");
}

#if VOLT_CAPABILITY >= 80
VOLT_DEVICE void copy_async_16(SharedAddress to, const void* from, std::uint32_t bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to.address), "l"(from),
               "r"(bytes)
               : "memory");
}
VOLT_DEVICE void copy_async_16(SharedAddress to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to.address), "l"(from) : "memory");
}
VOLT_DEVICE void copy_async_4(SharedAddress to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to.address), "l"(from) : "memory");
}
VOLT_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int newest>
VOLT_DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(newest) : "memory");
}
#else
VOLT_DEVICE void store_16(SharedAddress to, uint4 v) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to.address), "r"(v.x), "r"(v.y),
               "r"(v.z), "r"(v.w)
               : "memory");
}
VOLT_DEVICE void copy_async_16(SharedAddress to, const void* from, std::uint32_t bytes) {
  uint4 value = {0, 0, 0, 0};
  if (bytes == 16) {
    value = *static_cast<const uint4*>(from);
  } else {
    std::uint32_t word[4] = {0, 0, 0, 0};
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < 16; ++i) {
      if (i < bytes) word[i / 4] |= static_cast<const std::uint8_t*>(from)[i] << (8 * (i % 4));
    }
    value = {word[0], word[1], word[2], word[3]};
  }
  store_16(to, value);
}
VOLT_DEVICE void copy_async_16(SharedAddress to, const void* from) {
  store_16(to, *static_cast<const uint4*>(from));
}
VOLT_DEVICE void copy_async_4(SharedAddress to, const void* from) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(to.address), "r"(*static_cast<const unsigned*>(from))
               : "memory");
}
VOLT_DEVICE void commit_copies() {}
template <int newest>
VOLT_DEVICE void wait_for_copies() {}
#endif

}  // namespace VOLT_ISA
}  // namespace volt::kernels
