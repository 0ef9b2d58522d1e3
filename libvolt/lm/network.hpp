// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "libvolt/device/device.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/linear.hpp"
#include "libvolt/lm/sampler.hpp"
#include "libvolt/lm/trained.hpp"

namespace volt::lm {

/// Rows of tokens as the network takes them; all vectors are equally long, up to Capacity::rows.
struct Batch {
  std::vector<std::uint32_t> tokens;
  std::vector<std::uint32_t> positions;  ///< within the sample
  std::vector<std::uint32_t> first;      ///< the row where the token's sample begins
  std::vector<std::uint32_t> targets;    ///< the token to predict, or kernels::no_target
};

/// What cross-entropy tells of a row: all 0 where nothing was to be predicted.
struct Told {
  float loss, confidence, entropy;
};

/// How much a network computes with at a time. It changes no bit.
struct Capacity {
  std::uint64_t rows = 0;  ///< tokens, at most
  /// Of how many layers, the last ones, it keeps for the backward pass what the forward pass
  /// computed; of those before it keeps what went in, and computes the rest again. 0: no backward.
  std::uint64_t kept_layers = 0;
  bool dropout = false;  ///< whether adapters may drop features
};

/// A language model on a device: forward and backward, its products as a Profile says (numerics
/// contract, sections 4 and 5). Every operation and its order are fixed; how tokens are cut into
/// batches, between samples, changes no bit of any gradient.
class Network {
 public:
  /// What `weights` hold and is not trained is copied to the device, kept as `format` says; what
  /// is, `trained` holds, and must outlive the network. `scale` is LoRA's alpha / rank. Throws
  /// Error (no_device) if the device has no operations for networks, or too little memory.
  Network(device::Device& device, const Architecture& architecture, const Weights& weights,
          Trained& trained, Profile profile, float scale, const Capacity& capacity,
          Format format = Format::fp32);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  /// What is told of each row of a batch.
  std::vector<Told> forward(const Batch& batch);
  /// The same, and adds the gradient of the sum of the losses to that of all that is trained.
  /// `dropout` is that of the adapters. `more`: batches of the same step follow. Until the last one
  /// what goes to a tied embedding for its lookups waits in the host's memory, a row of the model's
  /// width a token: its gradient is one chain, over all rows as the head and then over all rows as
  /// the table.
  std::vector<Told> forward_backward(const Batch& batch, const DropoutPlace& dropout = {},
                                     bool more = false);
  /// The logits alone, [rows, vocabulary].
  std::vector<float> logits(const Batch& batch);

  /// Takes up to Capacity::rows more tokens of one text, which begins with the first call after
  /// forget(), and returns the logits behind the last `rows` of them, [rows, vocabulary]: bit for
  /// bit those that logits() gives for the whole text. Throws Error (usage) if the text becomes
  /// longer than what is kept.
  std::vector<float> decode(std::span<const std::uint32_t> tokens, std::uint64_t rows = 1);
  /// The same, but leaves the logits on the device and returns the tokens drawn from them, which is
  /// kernels::no_token where they give none. The text has number `text`.
  std::vector<std::uint32_t> draw(std::span<const std::uint32_t> tokens, std::uint64_t rows,
                                  const Sampler& sampler, std::uint64_t text);
  void forget();
  /// Has decode() and draw() keep keys and values of up to `tokens` tokens; before: of
  /// Capacity::rows. Forgets.
  void keep(std::uint64_t tokens);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace volt::lm
