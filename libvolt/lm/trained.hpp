// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "libvolt/device/device.hpp"
#include "libvolt/lm/parameters.hpp"

namespace volt::lm {

/// One trained tensor, a row-major fp32 matrix; a vector is one row. Of FlyLoRA's three B alone,
/// lora_b, is trained: A is frozen, and d moves without a gradient.
struct TrainedTensor {
  enum class Role { whole, lora_a, lora_b, fly_a, fly_d };
  Slot slot;  ///< of the base's parameter that it is, or that it adapts
  Role role = Role::whole;
  std::uint64_t rows = 0, cols = 0;
  std::uint64_t offset = 0;  ///< elements from the start of the arena
  bool decays = true;        ///< whether weight decay is for it: matrices, not norms and biases

  std::uint64_t elements() const { return rows * cols; }
  bool has_gradient() const { return role != Role::fly_a && role != Role::fly_d; }
};

/// Of FlyLoRA (arXiv 2510.08396): each token uses those `active` ranks whose |y + d| is largest,
/// y = A x, and a step adds `balance` to d of each rank used less than the mean, and takes it from
/// d of each used more.
struct FlyLora {
  std::uint64_t active = 8;
  float balance = 1e-3F;
};

/// How far a step goes (numerics contract, section 7; kernels::Adam).
struct AdamStep {
  float rate = 0, beta1 = 0.9F, beta2 = 0.999F, epsilon = 1e-8F, decay = 0;
  float factor = 1;  ///< of the gradient: 1 / tokens, and what clipping leaves of it
};

/// All that is trained, in arenas of the device: the values, their gradients, and the two averages
/// of AdamW. Behind the values of what has gradients lie all d of FlyLoRA, then all A.
class Trained {
 public:
  enum class Use { training, inference };  ///< the latter has no gradients and no averages

  /// `tensors` in their order, which is that of every state's digest; offsets are set here.
  Trained(device::Device& device, std::vector<TrainedTensor> tensors,
          const std::optional<FlyLora>& fly = std::nullopt, Use use = Use::training);

  const std::vector<TrainedTensor>& tensors() const { return tensors_; }
  std::uint64_t elements() const { return elements_; }  ///< of those with a gradient
  const std::optional<FlyLora>& fly() const { return fly_; }
  const TrainedTensor* find(const Slot& slot, TrainedTensor::Role role) const;

  kernels::Matrix value(const TrainedTensor& tensor) const { return at(values_, tensor); }
  kernels::Matrix gradient(const TrainedTensor& tensor) const { return at(gradients_, tensor); }
  /// Of a fly_d: how many tokens used each rank since clear_gradients(), uint32.
  kernels::Matrix counts(const TrainedTensor& tensor) const;

  void set(const TrainedTensor& tensor, std::span<const float> values);
  device::Buffer& values() { return values_; }
  std::vector<float> get(const TrainedTensor& tensor) const { return read(values_, tensor); }
  std::vector<float> get_gradient(const TrainedTensor& tensor) const {
    return read(gradients_, tensor);
  }

  void clear_gradients();  ///< and counts
  /// The Euclidean norm of factor * gradients: sqrt(square_sum) * factor.
  float gradient_norm(float factor);
  /// One step of AdamW, and of d. The corrections, 1 - beta^t, are those of a product kept in the
  /// state.
  void step(const AdamStep& step);

  /// The products of the betas, the values with d but without A, and both averages, in fp32.
  std::uint64_t state_bytes() const { return 4 * (2 + 3 * elements_ + d_elements_); }
  void save(std::span<std::uint8_t> state) const;  ///< of state_bytes()
  void restore(ByteView state);

  /// How far a state is from another, both made by steps from one before; by Euclidean norms.
  struct Drift {
    double values = 0;    ///< of what is trained, over how far the other has come
    double m = 0, v = 0;  ///< of the averages, over the other's
    double d = 0;         ///< the furthest that an element of FlyLoRA's d has come
  };
  Drift drift(ByteView before, ByteView state, ByteView other) const;

 private:
  static kernels::Matrix at(const device::Buffer& buffer, const TrainedTensor& tensor) {
    return {buffer.get(), tensor.offset, tensor.rows, tensor.cols, tensor.cols};
  }

  std::vector<float> read(const device::Buffer& from, const TrainedTensor& tensor) const;
  void balance();

  device::Device& device_;
  std::vector<TrainedTensor> tensors_;
  std::optional<FlyLora> fly_;
  std::uint64_t elements_ = 0, d_elements_ = 0;
  device::Buffer values_, gradients_, m_, v_, counts_;
  float power1_ = 1, power2_ = 1;  ///< beta1^t, beta2^t
};

/// Gives every tensor what a training begins with, from the Philox stream (seed,
/// first_initial_stream + its place): element e is the stream's word e in [-1, 1) times `bound`.
///   lora_a                           bound 1 / sqrt(in), as PEFT has it
///   fly_a                            as sparse_projection() says, with nonzeros_of() a row
///   lora_b, fly_d, biases            0
///   norms                            1
///   matrices and embeddings          bound 0.02 sqrt(3), which makes the deviation 0.02; of
///                                    `output` and `down`, which add to the residual stream,
///                                    1 / sqrt(2 layers) of that (GPT-2's report, section 2.3)
void initialise(device::Device& device, const Architecture& architecture, std::uint64_t seed,
                Trained& trained);
inline constexpr std::uint32_t first_initial_stream = 65'536;

/// Rank and scale of LoRA, and the matrices that get an adapter.
struct Lora {
  std::uint64_t rank = 16;
  float alpha = 32;
  std::vector<Part> targets;  ///< empty: every matrix of every layer
  std::optional<FlyLora> fly = std::nullopt;

  float scale() const { return alpha / static_cast<float>(rank); }
  bool adapts(Part part) const;
};

/// The tensors that a method trains, in the order of parameters_of(): of LoRA A [rank, in] and
/// B [out, rank] of every target, of FlyLoRA d [1, rank] besides, of a full training every
/// parameter, as it is stored. Throws Error (usage) if the model has none of a target.
std::vector<TrainedTensor> lora_tensors(const Architecture& architecture, const Lora& lora);
std::vector<TrainedTensor> all_tensors(const Architecture& architecture);

}  // namespace volt::lm
