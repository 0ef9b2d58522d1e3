// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>

#include "matmul_cuda.hpp"
#include "operands.hpp"

namespace volt::kernels {

/// Samples of one length, the last rows of each not its own. Their rows of q and out have `heads`
/// of `width` columns, a multiple of 8, and those of k and v `kv_heads`, a divisor.
struct AttentionShape {
  bool backward;
  std::uint32_t samples, rows, heads, kv_heads, width;

  bool operator<(const AttentionShape& other) const {
    const auto key = [](const AttentionShape& s) {
      return std::tie(s.backward, s.samples, s.rows, s.heads, s.kv_heads, s.width);
    };
    return key(*this) < key(other);
  }
};

/// Device memory, aligned to 16. Matrices are bf16 [samples, rows, heads, width] without gaps, and
/// what no sample has of q, k, v, out, dout and statistics is 0.
struct AttentionData {
  float scale;
  std::int32_t* lengths;  ///< of the samples, at least 1; read
  std::uint16_t *q, *k, *v;
  std::uint16_t* out;  ///< backward: read
  float* statistics;   ///< ln of the sum of e^s, [samples, heads, rows]; backward: read
  std::uint16_t *dout, *dq, *dk, *dv;
  std::byte* workspace;
};

/// What a context of a GPU has others' libraries do for the profile `native`. All queue their work
/// on the context's stream.
class Libraries {
 public:
  virtual ~Libraries() = default;

  /// C += A B. The workspace may be empty.
  virtual Status multiply(const Product<std::uint16_t, float>& job, Scratch workspace) = 0;

  /// How many bytes of workspace causal attention takes; none where the library does not have it.
  virtual std::optional<std::uint64_t> attention_bytes(const AttentionShape& shape) = 0;
  /// For a shape that it has.
  virtual Status attend(const AttentionShape& shape, const AttentionData& data) = 0;
};

/// cuBLASLt and cuDNN, which are looked for when first asked for. They must be gone before the
/// stream is.
std::unique_ptr<Libraries> nvidia_libraries(CudaStream stream);

}  // namespace volt::kernels
