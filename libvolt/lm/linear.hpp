// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "libvolt/lm/frozen.hpp"

namespace volt::lm {

/// Streams of random numbers (volt's table: 1 and up are inputs of a matmul, 32 and 33 the order of
/// samples): linear layer i drops by stream first_dropout_stream + i.
inline constexpr std::uint32_t first_dropout_stream = 4096;

/// Where dropout draws from.
struct DropoutPlace {
  float p = 0;
  std::uint64_t seed = 0, row = 0;  ///< the first row's number among all rows of a training
};

/// Room for the limbs of any parameter that is trained, or that an adapter has: of i8x2 alone.
LimbSizes limb_sizes(Profile profile, std::span<const TrainedTensor> trained);

/// y = x W^T, + scale * (x A^T) B^T with an adapter, + b with a bias: in this order, each a chain
/// from what the one before left. W is [out, in], frozen or trained.
///
/// i8x2: the products over features, of rows with a trained W and with A and B, forward and back,
/// are by kernels::Backend::matmul_i8x2, both operands quantised along k each time. Those over
/// rows, the gradients of W, A and B, are chains, for they go on from batch to batch. native: all
/// are by matmul_bf16, both operands rounded each time.
///
/// FlyLoRA: of each row of x A^T only the `active` ranks go on whose |x A^T + d| is largest
/// (kernels::KeepLargest), the others as +0, and so does the gradient on its way back. A and d have
/// none. Trained::counts() grow with each forward pass.
class Linear {
 public:
  struct Base {
    Slot slot;
    std::uint64_t out, in;
    bool has_bias;
    bool conv1d;           ///< stored as [in, out]
    std::uint32_t stream;  ///< of its dropout
    Profile profile;       ///< by which trained operands are multiplied
  };

  /// What is not trained is `weight`, which others may share, and `bias`. An adapter is there if
  /// the trained tensors hold one; `scale` is then its alpha / rank.
  Linear(device::Device& device, const Base& base, std::shared_ptr<const FrozenMatrix> weight,
         std::span<const float> bias, Trained& trained, float scale, std::uint64_t most_rows);

  /// y = x W^T, and what is added to it.
  void forward(Room& room, const kernels::Matrix& x, const kernels::Matrix& y,
               const DropoutPlace& dropout);
  /// The same again, of what the last forward() was given.
  void forward_again(Room& room, const kernels::Matrix& x, const kernels::Matrix& y);
  /// Adds to dx and to the gradients of what is trained. x is what forward() was given.
  void backward(Room& room, const kernels::Matrix& x, const kernels::Matrix& dy,
                const kernels::Matrix& dx);

 private:
  /// y += x P or x P^T, P a trained W, A or B.
  void over_features(Room& room, kernels::Form form, const kernels::Matrix& x,
                     const kernels::Matrix& parameter, const kernels::Matrix& y);
  /// gradient += x^T y.
  void over_rows(Room& room, const kernels::Matrix& x, const kernels::Matrix& y,
                 const kernels::Matrix& gradient);
  /// h_ of x.
  void adapt(Room& room, const kernels::Matrix& x);
  /// x as the adapter sees it.
  kernels::Matrix dropped(Room& room, const kernels::Matrix& x, int place);
  /// `of`, [rows, rank], but for the ranks that FlyLoRA had not go on in the last forward pass.
  void route(Room& room, const kernels::Matrix& of, const kernels::Matrix& out,
             const kernels::Matrix& counts);

  Base base_;
  float scale_;
  std::shared_ptr<const FrozenMatrix> frozen_;  ///< null where trained
  Tensor bias_;                                 ///< where frozen
  kernels::Matrix w_, dw_, b_, db_;             ///< gradients are empty where frozen
  kernels::Matrix lora_a_, lora_b_, dlora_a_, dlora_b_;
  Tensor h_;  ///< scale * x A^T of the last forward pass
  // Of FlyLoRA alone:
  std::uint64_t active_ = 0;
  kernels::Matrix fly_d_, fly_counts_;
  Tensor all_h_;  ///< x A^T of the last forward pass, of all ranks
  DropoutPlace dropout_;
};

}  // namespace volt::lm
