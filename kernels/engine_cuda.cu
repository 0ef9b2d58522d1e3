// SPDX-License-Identifier: Apache-2.0

// The operations as rows of an Engine: with the memory that they need besides, and with what has to
// go to the GPU first or to come back.

#include "context_cuda.hpp"
#include "libraries_cuda.hpp"
#include "matmul_cuda.hpp"
#include "network_cuda.hpp"
#include "operations_cuda.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

template <class T>
void fill(Context& context, T* to, const Stream& stream) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_fill(cuda.stream, to, stream));
}

void quantise(Context& context, const QuantiseJob& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_quantise(cuda.stream, job));
}

void quantise_limbs(Context& context, const QuantiseLimbsJob& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_quantise_limbs(cuda.stream, job));
}

void map(Context& context, const MapJob& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_map(cuda.stream, job));
}

bool matmul_f32x(Context& context, const Product<float, float>& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_matmul_f32x(cuda.stream, job));
  return true;
}

// Less than a product would like makes it slower; that there is too little, it says itself.
template <class Job>
Scratch scratch(CudaContext& cuda, const Job& job) {
  for (std::uint64_t bytes = scratch_bytes(job); bytes != 0; bytes /= 2) {
    if (std::byte* const data = cuda.room(bytes)) return {data, bytes};
  }
  return {};
}

bool matmul_i8(Context& context, const Product<std::int8_t, std::int32_t>& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_matmul_i8(cuda.stream, job, scratch(cuda, job)));
  return true;
}

bool matmul_i8x(Context& context, const QuantisedProduct& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_matmul_i8x(cuda.stream, job, scratch(cuda, job)));
  return true;
}

// Room that an operation cannot do without.
std::byte* need(CudaContext& cuda, std::uint64_t bytes) {
  std::byte* const room = cuda.room(bytes);
  if (room == nullptr) {
    cuda.keep({Status::out_of_memory, "no memory left for what the operation needs besides"});
  }
  return room;
}

bool matmul_i8x2(Context& context, const LimbsProduct& job) {
  CudaContext& cuda = cuda_context(context);
  const std::uint64_t bytes = scratch_bytes(job);
  std::byte* const room = bytes == 0 ? nullptr : need(cuda, bytes);
  if (bytes == 0 || room != nullptr) cuda.keep(cuda_matmul_i8x2(cuda.stream, job, {room, bytes}));
  return true;  // what is wrong has been kept
}

bool matmul_bf16(Context& context, const Product<std::uint16_t, float>& job) {
  multiply_by_library(cuda_context(context), job);
  return true;
}

bool weigh(Context& context, const Weighing& job) {
  CudaContext& cuda = cuda_context(context);
  cuda.keep(cuda_weigh(cuda.stream, job));
  return true;
}

void page_digests(Context& context, const std::uint8_t* data, std::uint64_t bytes,
                  std::uint8_t* digests) {
  CudaContext& cuda = cuda_context(context);
  const std::uint64_t size = ((bytes - 1) / page_bytes + 1) * 32;
  std::byte* const room = need(cuda, size);
  if (room == nullptr) return;
  cuda.keep(cuda_page_digests(cuda.stream, data, bytes, reinterpret_cast<std::uint8_t*>(room)));
  cuda.engine.store->download(cuda, room, digests, size);
}

template <class T>
void select(Context& context, const Selection<T>& selection) {
  CudaContext& cuda = cuda_context(context);
  const bool rows = selection.lines == Lines::rows;
  const std::uint64_t size =
      (rows ? selection.to.rows : selection.to.cols) * sizeof *selection.index;
  std::byte* const room = need(cuda, size);
  if (room == nullptr) return;
  cuda.engine.store->upload(cuda, room, selection.index, size);
  Selection<T> there = selection;
  there.index = reinterpret_cast<const std::uint64_t*>(room);
  cuda.keep(cuda_select(cuda.stream, there));
}

std::uint64_t compare(Context& context, const std::uint8_t* a, const std::uint8_t* b,
                      std::uint64_t bytes) {
  CudaContext& cuda = cuda_context(context);
  std::uint64_t first = bytes;
  std::byte* const room = need(cuda, sizeof first);
  if (room == nullptr) return first;
  cuda.engine.store->upload(cuda, room, &first, sizeof first);
  cuda.keep(cuda_compare(cuda.stream, a, b, bytes, reinterpret_cast<std::uint64_t*>(room)));
  cuda.engine.store->download(cuda, room, &first, sizeof first);
  return first;
}

}  // namespace

Engine cuda_engine(const Store& store) {
  return {nullptr,
          fill<float>,
          fill<std::int8_t>,
          quantise,
          quantise_limbs,
          matmul_f32x,
          matmul_i8,
          matmul_i8x,
          matmul_i8x2,
          matmul_bf16,
          weigh,
          page_digests,
          map,
          select<std::uint32_t>,
          select<std::uint8_t>,
          compare,
          &store,
          &cuda_network()};
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
