// SPDX-License-Identifier: Apache-2.0

#include "wrong.hpp"

#include "kernels/network.hpp"

namespace volt::gpu {
namespace {

using namespace kernels;

Backend right;  // functions of a table carry nothing with them

// Flips the last bit of element `index` of `width` bytes (the least significant, little-endian).
Status flip(Context* context, Buffer* buffer, std::uint64_t index, std::uint64_t width) {
  std::uint8_t byte = 0;
  const Status status = right.download(context, buffer, index * width, &byte, 1);
  if (status.code != Status::ok) return status;
  byte ^= 1;
  return right.upload(context, buffer, index * width, &byte, 1);
}

Status flip_last(Status status, Context* context, const Matrix& m, std::uint64_t width) {
  if (status.code != Status::ok || m.rows == 0 || m.cols == 0) return status;
  return flip(context, m.buffer, m.offset + (m.rows - 1) * m.stride + m.cols - 1, width);
}

Status flip_last(Status status, Context* context, Buffer* buffer, std::uint64_t offset,
                 std::uint64_t count, std::uint64_t width) {
  if (status.code != Status::ok || count == 0) return status;
  return flip(context, buffer, offset + count - 1, width);
}

Status create(Context* c, std::uint64_t bytes, Buffer** buffer) {
  const Status status = right.create(c, bytes, buffer);
  return flip_last(status, c, *buffer, 0, bytes, 1);
}

Status borrow(Context* c, const void* host, std::uint64_t bytes, Buffer** buffer) {
  return right.borrow(c, static_cast<const char*>(host) - 1, bytes, buffer);
}

Status upload(Context* c, Buffer* buffer, std::uint64_t offset, const void* host,
              std::uint64_t bytes) {
  return flip_last(right.upload(c, buffer, offset, host, bytes), c, buffer, offset, bytes, 1);
}

Status download(Context* c, const Buffer* buffer, std::uint64_t offset, void* host,
                std::uint64_t bytes) {
  const Status status = right.download(c, buffer, offset, host, bytes);
  if (status.code == Status::ok && bytes != 0) static_cast<std::uint8_t*>(host)[bytes - 1] ^= 1;
  return status;
}

Status fill_f32(Context* c, Buffer* buffer, std::uint64_t offset, std::uint64_t count,
                std::uint64_t seed, std::uint32_t stream, std::uint64_t first) {
  return flip_last(right.fill_f32(c, buffer, offset, count, seed, stream, first), c, buffer, offset,
                   count, 4);
}

Status fill_i8(Context* c, Buffer* buffer, std::uint64_t offset, std::uint64_t count,
               std::uint64_t seed, std::uint32_t stream, std::uint64_t first) {
  return flip_last(right.fill_i8(c, buffer, offset, count, seed, stream, first), c, buffer, offset,
                   count, 1);
}

Status quantise(Context* c, const Matrix& x, const Quantised& out) {
  return flip_last(right.quantise(c, x, out), c, out.scales, 4);
}

Status quantise_limbs(Context* c, const Matrix& x, const QuantisedLimbs& out) {
  return flip_last(right.quantise_limbs(c, x, out), c, out.scales, 4);
}

Status matmul_f32x(Context* context, Form form, const Matrix& a, const Matrix& b, const Matrix& c) {
  return flip_last(right.matmul_f32x(context, form, a, b, c), context, c, 4);
}

// A last bit more or less is as near: NaN.
Status matmul_bf16(Context* context, Form form, const Matrix& a, const Matrix& b, const Matrix& c) {
  const Status status = right.matmul_bf16(context, form, a, b, c);
  if (status.code != Status::ok || c.rows == 0 || c.cols == 0) return status;
  const std::uint32_t nan = 0x7fc00000;
  return right.upload(context, c.buffer, 4 * c.offset, &nan, sizeof nan);
}

Status matmul_i8(Context* context, Form form, const Matrix& a, const Matrix& b, const Matrix& c) {
  return flip_last(right.matmul_i8(context, form, a, b, c), context, c, 4);
}

Status matmul_i8x(Context* context, Form form, const Quantised& a, const Quantised& b,
                  const Matrix& c) {
  return flip_last(right.matmul_i8x(context, form, a, b, c), context, c, 4);
}

Status matmul_i8x2(Context* context, Form form, const QuantisedLimbs& a, const QuantisedLimbs& b,
                   const Matrix& c) {
  return flip_last(right.matmul_i8x2(context, form, a, b, c), context, c, 4);
}

Status weigh(Context* c, const Matrix& x, const Matrix& weights, const Matrix& sums) {
  return flip_last(right.weigh(c, x, weights, sums), c, sums, 8);
}

Status page_digests(Context* c, const Buffer* buffer, std::uint64_t offset, std::uint64_t bytes,
                    std::uint8_t* digests) {
  const Status status = right.page_digests(c, buffer, offset, bytes, digests);
  if (status.code == Status::ok && bytes != 0) {
    digests[(bytes + page_bytes - 1) / page_bytes * 32 - 1] ^= 1;
  }
  return status;
}

Status map(Context* c, Function function, const Buffer* x, std::uint64_t x_offset, Buffer* y,
           std::uint64_t y_offset, std::uint64_t count) {
  const bool words = function == Function::to_bf16 || function == Function::to_fp16;
  return flip_last(right.map(c, function, x, x_offset, y, y_offset, count), c, y, y_offset, count,
                   words ? 2 : 4);
}

Status select(Context* c, Lines lines, std::uint32_t width, const Matrix& from,
              const std::uint64_t* index, const Matrix& to) {
  return flip_last(right.select(c, lines, width, from, index, to), c, to, width);
}

Status compare(Context* c, const Buffer* a, std::uint64_t a_offset, const Buffer* b,
               std::uint64_t b_offset, std::uint64_t bytes, std::uint64_t* first) {
  const Status status = right.compare(c, a, a_offset, b, b_offset, bytes, first);
  *first ^= 1;
  return status;
}

Status copy(Context* c, const Buffer* from, std::uint64_t from_offset, Buffer* to,
            std::uint64_t to_offset, std::uint64_t bytes) {
  return flip_last(right.copy(c, from, from_offset, to, to_offset, bytes), c, to, to_offset, bytes,
                   1);
}

// What an operation of networks gives, or one of the things.
const Matrix& given(const RmsNorm<Given>& job) { return job.y; }
const Matrix& given(const RmsNormBackward<Given>& job) { return job.dx; }
const Matrix& given(const LayerNorm<Given>& job) { return job.y; }
const Matrix& given(const LayerNormBackward<Given>& job) { return job.dx; }
const Matrix& given(const Rope<Given>& job) { return job.x; }
const Matrix& given(const Attention<Given>& job) { return job.l; }
const Matrix& given(const AttentionBackward<Given>& job) { return job.dv; }
const Matrix& given(const Activate<Given>& job) { return job.out; }
const Matrix& given(const ActivateBackward<Given>& job) { return job.dx; }
const Matrix& given(const CrossEntropy<Given>& job) { return job.told; }
const Matrix& given(const Draw<Given>& job) { return job.tokens; }
const Matrix& given(const Add<Given>& job) { return job.y; }
const Matrix& given(const SumRows<Given>& job) { return job.y; }
const Matrix& given(const Scale<Given>& job) { return job.x; }
const Matrix& given(const Zero<Given>& job) { return job.x; }
const Matrix& given(const ScatterRows<Given>& job) { return job.dtable; }
const Matrix& given(const Dropout<Given>& job) { return job.y; }
const Matrix& given(const KeepLargest<Given>& job) { return job.out; }
const Matrix& given(const Rotate<Given>& job) { return job.y; }
const Matrix& given(const QuantiseRotated<Given>& job) { return job.by_rows; }
const Matrix& given(const ExpandNf4<Given>& job) { return job.y; }
const Matrix& given(const Adam<Given>& job) { return job.v; }

Network wrong_network;

template <auto row, class Job>
void break_row(Status (*&function)(Context*, const Job&)) {
  function = [](Context* c, const Job& job) {
    return flip_last((right.network->*row)(c, job), c, given(job), 4);
  };
}

Status narrow(Context* c, const Narrow<Given>& job) {
  return flip_last(right.network->narrow(c, job), c, job.y, 2);
}

Status square_sum(Context* c, const Matrix& x, float* sum) {
  const Status status = right.network->square_sum(c, x, sum);
  *sum += 1;
  return status;
}

bool make_wrong_network(const std::string& row, Backend& backend) {
  wrong_network = *backend.network;
  backend.network = &wrong_network;
#define VOLT_WRONG(name) \
  if (row == #name) return break_row<&Network::name>(wrong_network.name), true
  VOLT_WRONG(rms_norm);
  VOLT_WRONG(rms_norm_backward);
  VOLT_WRONG(layer_norm);
  VOLT_WRONG(layer_norm_backward);
  VOLT_WRONG(rope);
  VOLT_WRONG(attention);
  VOLT_WRONG(attention_backward);
  VOLT_WRONG(activate);
  VOLT_WRONG(activate_backward);
  VOLT_WRONG(cross_entropy);
  VOLT_WRONG(draw);
  VOLT_WRONG(add);
  VOLT_WRONG(sum_rows);
  VOLT_WRONG(scale);
  VOLT_WRONG(zero);
  VOLT_WRONG(scatter_rows);
  VOLT_WRONG(dropout);
  VOLT_WRONG(keep_largest);
  VOLT_WRONG(rotate);
  VOLT_WRONG(quantise_rotated);
  VOLT_WRONG(expand_nf4);
  VOLT_WRONG(adam);
#undef VOLT_WRONG
  if (row == "narrow") return wrong_network.narrow = narrow, true;
  if (row == "square_sum") return wrong_network.square_sum = square_sum, true;
  return false;
}

}  // namespace

bool make_wrong(const std::string& row, Backend& backend) {
  right = backend;
#define VOLT_WRONG(name) \
  if (row == #name) return backend.name = name, true
  VOLT_WRONG(create);
  VOLT_WRONG(borrow);
  VOLT_WRONG(upload);
  VOLT_WRONG(download);
  VOLT_WRONG(fill_f32);
  VOLT_WRONG(fill_i8);
  VOLT_WRONG(quantise);
  VOLT_WRONG(quantise_limbs);
  VOLT_WRONG(matmul_f32x);
  VOLT_WRONG(matmul_i8);
  VOLT_WRONG(matmul_i8x);
  VOLT_WRONG(matmul_i8x2);
  VOLT_WRONG(matmul_bf16);
  VOLT_WRONG(weigh);
  VOLT_WRONG(page_digests);
  VOLT_WRONG(map);
  VOLT_WRONG(select);
  VOLT_WRONG(compare);
  VOLT_WRONG(copy);
#undef VOLT_WRONG
  return make_wrong_network(row, backend);
}

}  // namespace volt::gpu
