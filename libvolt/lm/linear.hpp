// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "libvolt/device/device.hpp"
#include "libvolt/lm/trained.hpp"

namespace volt::lm {

/// How products with frozen matrices are computed: fp32 chains, or rotated int8 groups.
enum class Profile { f32x, i8x };

/// A matrix of fp32 of its own.
struct Tensor {
  device::Buffer buffer;
  kernels::Matrix matrix;
};
Tensor make_tensor(device::Device& device, std::uint64_t rows, std::uint64_t cols);

kernels::Matrix columns(const kernels::Matrix& of, std::uint64_t first, std::uint64_t count);
kernels::Matrix first_rows(const kernels::Matrix& of, std::uint64_t count);

/// Rows of memory that each layer uses in turn.
class Room {
 public:
  /// For matrices of `rows` rows and at most `cols` columns.
  Room(device::Device& device, std::uint64_t rows, std::uint64_t cols);

  device::Device& device() { return device_; }
  void zero(const kernels::Matrix& dense);
  /// A zeroed matrix in place `index` of 4, of which whatever was there before is lost.
  kernels::Matrix zeroed(int index, std::uint64_t rows, std::uint64_t cols);
  /// A matrix quantised along its rows or its columns; the memory is lost with the next.
  kernels::Quantised quantised(const kernels::Matrix& x);

 private:
  device::Device& device_;
  device::Buffer zeros_, places_[4], quants_, scales_;
};

/// Streams of random numbers (volt's table: 1 and up are inputs of a matmul, 32 and 33 the order of
/// samples): linear layer i drops by stream first_dropout_stream + i.
inline constexpr std::uint32_t first_dropout_stream = 4096;

/// Where dropout draws from.
struct DropoutPlace {
  float p = 0;
  std::uint64_t seed = 0, row = 0;  ///< the first row's number among all rows of a training
};

/// y = x W^T, + scale * (x A^T) B^T with an adapter, + b with a bias: in this order, each a chain
/// from what the one before left. W is [out, in], frozen or trained.
///
/// FlyLoRA: of each row of x A^T only the `active` ranks go on whose |x A^T + d| is largest
/// (kernels::KeepLargest), the others as +0, and so does the gradient on its way back. A and d have
/// none. Trained::counts() grow with each forward pass.
///
/// A frozen matrix of profile i8x is stored as int8 blocks of 128 x 128 with a scale each, of
/// W' = 2^-14 (H (W H)), H the Walsh-Hadamard butterflies of each group of 128 (kernels::Rotate),
/// along `in` first, padded with zeros: y = H (W' (H x)), and dx = H (W'^T (H dy)).
class Linear {
 public:
  struct Base {
    Slot slot;
    std::uint64_t out, in;
    bool has_bias;
    bool conv1d;           ///< stored as [in, out]
    std::uint32_t stream;  ///< of its dropout
  };

  /// What is not trained comes from `weight`, as it is stored, and `bias`. An adapter is there if
  /// the trained tensors hold one; `scale` is then its alpha / rank.
  Linear(device::Device& device, const Base& base, std::span<const float> weight,
         std::span<const float> bias, Trained& trained, Profile profile, float scale,
         std::uint64_t most_rows);

  /// y must be 0.
  void forward(Room& room, const kernels::Matrix& x, const kernels::Matrix& y,
               const DropoutPlace& dropout);
  /// Adds to dx and to the gradients of what is trained. x is what forward() was given.
  void backward(Room& room, const kernels::Matrix& x, const kernels::Matrix& dy,
                const kernels::Matrix& dx);

 private:
  struct Rotated {
    device::Buffer quants, by_in, by_out;
    kernels::Quantised forward, backward;
  };
  void store_rotated(device::Device& device, std::span<const float> weight);
  /// x as the adapter sees it.
  kernels::Matrix dropped(Room& room, const kernels::Matrix& x, int place);
  /// `of`, [rows, rank], but for the ranks that FlyLoRA had not go on in the last forward pass.
  void route(Room& room, const kernels::Matrix& of, const kernels::Matrix& out,
             const kernels::Matrix& counts);

  Base base_;
  float scale_;
  Tensor weight_, bias_;  ///< where frozen
  std::optional<Rotated> rotated_;
  kernels::Matrix w_, dw_, b_, db_;  ///< gradients are empty where frozen
  kernels::Matrix lora_a_, lora_b_, dlora_a_, dlora_b_;
  Tensor h_;  ///< scale * x A^T of the last forward pass
  std::uint64_t active_ = 0;
  kernels::Matrix fly_d_, fly_counts_;
  Tensor all_h_;  ///< of FlyLoRA: x A^T of all ranks
  DropoutPlace dropout_;
};

}  // namespace volt::lm
