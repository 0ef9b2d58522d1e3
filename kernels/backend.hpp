// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// Every operation once, as one table of functions; each backend fills in the same rows with the
/// same bits, but for those of the profile `native`, which say so. Plain data and functions only,
/// so that a table can come out of a shared module. The arithmetic is the numerics contract,
/// version 1; section numbers below are its.
namespace volt::kernels {

/// Outcome of a call. `text` lives until the next call on the same thread and is null when ok.
/// `missing` is a library that an operation is left to.
struct Status {
  enum Code : std::int32_t { ok = 0, out_of_memory = 1, invalid = 2, failed = 3, missing = 4 };
  Code code = ok;
  const char* text = nullptr;
};

struct Context;  ///< one device with its threads and its memory limit
struct Buffer;   ///< device memory
struct Network;  ///< the operations of language models

struct Options {
  std::uint32_t threads = 0;       ///< 0: one per core; changes no bit; a GPU has its own
  std::uint64_t memory_limit = 0;  ///< bytes of device memory, 0: no limit
  std::uint32_t device = 0;        ///< which GPU, as the module counts them; a CPU does not ask
};

/// A row-major matrix inside a buffer: element (r, c) is element `offset + r * stride + c`.
/// All counts are elements. Nothing needs to be a multiple of anything; any extent may be 0.
struct Matrix {
  Buffer* buffer = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::uint64_t stride = 0;
};

/// An int8 matrix with its fp32 scales. Groups of 128 run along the columns (`along_cols`: scales
/// are rows x ceil(cols/128)) or down the rows (`along_rows`: ceil(rows/128) x cols).
struct Quantised {
  enum Axis : std::int32_t { along_cols = 0, along_rows = 1 };
  Matrix q;
  Matrix scales;
  Axis axis = along_cols;
};

/// The same in two int8 limbs: element = (128 * high + low) * its group's scale (section 5).
struct QuantisedLimbs {
  Matrix high, low;
  Matrix scales;
  Quantised::Axis axis = Quantised::along_cols;
};

/// Which product; k is the common extent. Operands are given as they are stored. A diagonal form
/// has m = n and computes the product's diagonal alone, into a C[m,1].
enum class Form : std::int32_t {
  ab,   ///< C[m,n] += A[m,k] * B[k,n]
  abt,  ///< C[m,n] += A[m,k] * B[n,k]^T
  atb,  ///< C[m,n] += A[k,m]^T * B[k,n]
  ab_diagonal,
  abt_diagonal,
  atb_diagonal,
};

/// Lines of a matrix.
enum class Lines : std::int32_t { rows, columns };

/// The functions of exact.hpp as `map` takes them, with the elements that they read and write.
enum class Function : std::int32_t {
  exp,  ///< fp32 to fp32, as all down to rsqrt
  exp2,
  log,
  log1p,
  tanh,
  sigmoid,
  erf,
  rsqrt,
  sin_turns,  ///< uint64, in units of 2^-64 turn, to fp32
  cos_turns,
  to_bf16,  ///< fp32 to 16 bits, to nearest, ties to even
  to_fp16,
  from_bf16,  ///< 16 bits to fp32, exact
  from_fp16,
};

/// A GPU may work on after a call has returned: what goes wrong then, a later call on the context
/// tells. Only download, page_digests and compare wait for all that was asked before.
struct Backend {
  const char* name;  ///< "cpu", "cpu-reference", "cuda"

  Status (*open)(const Options& options, Context** context);
  void (*close)(Context* context);

  /// New zeroed memory. `borrow` reads the caller's memory, which must outlive the buffer: a CPU
  /// uses it in place, a GPU copies it.
  Status (*create)(Context* context, std::uint64_t bytes, Buffer** buffer);
  Status (*borrow)(Context* context, const void* host, std::uint64_t bytes, Buffer** buffer);
  void (*destroy)(Context* context, Buffer* buffer);
  Status (*upload)(Context* context, Buffer* buffer, std::uint64_t offset_bytes, const void* host,
                   std::uint64_t bytes);
  Status (*download)(Context* context, const Buffer* buffer, std::uint64_t offset_bytes, void* host,
                     std::uint64_t bytes);

  /// Elements [first, first + count) of the Philox 4x32-10 stream (seed, stream), to elements
  /// [offset, offset + count) of the buffer. Counter words: block index low, high, stream, 0; key:
  /// seed low, high. fp32: element e is word e%4 of block e/4, as (int32(word) >> 8) * 2^-23, in
  /// [-1, 1). int8: element e is byte e%4, lowest first, of word e/4%4 of block e/16.
  Status (*fill_f32)(Context* context, Buffer* buffer, std::uint64_t offset, std::uint64_t count,
                     std::uint64_t seed, std::uint32_t stream, std::uint64_t first);
  Status (*fill_i8)(Context* context, Buffer* buffer, std::uint64_t offset, std::uint64_t count,
                    std::uint64_t seed, std::uint32_t stream, std::uint64_t first);

  /// fp32 `x` to int8 groups of 128 with one scale each (section 4). The extents of `out` must fit.
  Status (*quantise)(Context* context, const Matrix& x, const Quantised& out);
  /// The same in two limbs, NaN and zero as there: with amax the largest magnitude of a group, its
  /// scale is amax / 16256 and q = rintf(x * (16256 / amax)); high = (q + 64) >> 7, in [-127, 127],
  /// low = q - 128 * high, in [-64, 63].
  Status (*quantise_limbs)(Context* context, const Matrix& x, const QuantisedLimbs& out);

  /// C is the initial accumulator. NaNs of fp32 results are 0x7fc00000.
  /// f32x: one fmaf chain per element, k ascending (section 1).
  Status (*matmul_f32x)(Context* context, Form form, const Matrix& a, const Matrix& b,
                        const Matrix& c);
  /// i8: int8 x int8 -> int32, k at most 131,071, C's initial values wrap around.
  Status (*matmul_i8)(Context* context, Form form, const Matrix& a, const Matrix& b,
                      const Matrix& c);
  /// i8x: groups of 128 along k joined in fp32 (section 4). Both operands must be grouped along k.
  Status (*matmul_i8x)(Context* context, Form form, const Quantised& a, const Quantised& b,
                       const Matrix& c);
  /// i8x2, of form ab, abt or atb: of each group, ascending, the exact sums of high * high (hh),
  /// high * low and low * high (together hl), and low * low (ll) make
  /// v = fmaf(hh, 16384, fmaf(hl, 128, ll)), and acc = fmaf(v, scale_a * scale_b, acc).
  Status (*matmul_i8x2)(Context* context, Form form, const QuantisedLimbs& a,
                        const QuantisedLimbs& b, const Matrix& c);
  /// Of the profile `native`, of form ab, abt or atb: A and B are bf16, 16 bits an element, C fp32.
  /// Not exact: a GPU has cuBLASLt add up, in its order; CPUs add as matmul_f32x does.
  Status (*matmul_bf16)(Context* context, Form form, const Matrix& a, const Matrix& b,
                        const Matrix& c);

  /// Sums of int32 elements, weighted two ways, modulo 2^128: columns 2v and 2v + 1 of `sums` are
  /// the low and the high 64 bits of the sum over j of x[i,j] * weights[j,v]. weights [x.cols, 2]
  /// and sums [x.rows, 4] are uint64.
  Status (*weigh)(Context* context, const Matrix& x, const Matrix& weights, const Matrix& sums);

  /// RFC 9162 leaf digests, SHA-256(0x00 || page), of the 4 KiB pages of `bytes` bytes; the last
  /// page may be short. `digests` is host memory of ceil(bytes / 4096) * 32 bytes.
  Status (*page_digests)(Context* context, const Buffer* buffer, std::uint64_t offset_bytes,
                         std::uint64_t bytes, std::uint8_t* digests);

  /// y[i] = function(x[i]) for `count` elements from the offsets on, which count elements of x and
  /// of y. x and y may not overlap.
  Status (*map)(Context* context, Function function, const Buffer* x, std::uint64_t x_offset,
                Buffer* y, std::uint64_t y_offset, std::uint64_t count);

  /// Line i of `to` is line index[i] of `from`; elements are `width` bytes, 1 or 4. `index` is host
  /// memory, one for each line of `to`.
  Status (*select)(Context* context, Lines lines, std::uint32_t width, const Matrix& from,
                   const std::uint64_t* index, const Matrix& to);

  /// Where two runs of bytes first differ; `bytes` where they do not.
  Status (*compare)(Context* context, const Buffer* a, std::uint64_t a_offset_bytes,
                    const Buffer* b, std::uint64_t b_offset_bytes, std::uint64_t bytes,
                    std::uint64_t* first);

  /// From one place on the device to another that does not overlap it.
  Status (*copy)(Context* context, const Buffer* from, std::uint64_t from_offset_bytes, Buffer* to,
                 std::uint64_t to_offset_bytes, std::uint64_t bytes);

  const Network* network;  ///< network.hpp; null: not on this backend
};

constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t group = 128;         ///< elements that share a scale
constexpr std::uint64_t weight_vectors = 2;  ///< of `weigh`
constexpr std::uint64_t max_k_i8 = 131'071;  ///< 128 * 128 * k must fit int32

const Backend& cpu();            ///< threads and vector instructions, chosen at run time
const Backend& cpu_reference();  ///< one thread, plain loops: the gold standard of the others

}  // namespace volt::kernels
