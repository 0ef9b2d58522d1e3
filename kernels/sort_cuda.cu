// SPDX-License-Identifier: Apache-2.0

#include "sort_cuda.hpp"

#if defined(VOLT_EMULATED)
#include "sort_emulated.hpp"
#else

#include <thrust/execution_policy.h>
#include <thrust/sort.h>
#include <thrust/system_error.h>

#include <new>

#include "device_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

/// Gives Thrust the scratch, once and whole, and takes note of how much it asked for: it has no
/// other way to tell.
struct Lender {
  using value_type = char;
  char* allocate(std::ptrdiff_t bytes) {
    *asked = static_cast<std::uint64_t>(bytes);
    if (*asked > scratch.bytes) throw std::bad_alloc();
    return reinterpret_cast<char*>(scratch.data);
  }
  void deallocate(char*, std::size_t) noexcept {}

  Scratch scratch;
  std::uint64_t* asked;
};

// par_nosync: the stream is not waited for.
Status sort(CudaStream stream, std::uint64_t* keys, std::uint64_t count, Lender lender) {
  try {
    thrust::sort(thrust::cuda::par_nosync(lender).on(stream), keys, keys + count);
    return {};
  } catch (const thrust::system_error& error) {
    cudaGetLastError();  // or the next launch would be blamed
    return status_of(static_cast<cudaError_t>(error.code().value()));
  } catch (const std::bad_alloc&) {
    return {Status::out_of_memory, "no memory left to sort in"};
  }
}

}  // namespace

std::uint64_t sort_bytes(CudaStream stream, std::uint64_t count) {
  std::uint64_t asked = 0;
  sort(stream, nullptr, count, {{}, &asked});  // asks before it begins, and ends there
  return asked;
}

Status sort_keys(CudaStream stream, std::uint64_t* keys, std::uint64_t count, Scratch scratch) {
  std::uint64_t asked = 0;
  return sort(stream, keys, count, {scratch, &asked});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
#endif
