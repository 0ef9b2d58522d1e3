// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/network.hpp"
#include "libvolt/lm/network.hpp"

/// What network.cpp computes with, and network_build.cpp makes.
namespace volt::lm {

/// A parameter that is no linear layer's.
struct Place {
  Tensor own;
  std::shared_ptr<const FrozenMatrix> table;  ///< of a frozen embedding, which has no `value`
  kernels::Matrix value, gradient;            ///< the latter empty where frozen
};

/// Words of a batch on the device.
struct Words {
  device::Buffer buffer;
  kernels::Matrix matrix;
};

struct Network::State {
  /// What a layer keeps of a forward pass.
  struct Layer {
    Place attention_norm, attention_norm_bias, mlp_norm, mlp_norm_bias, query_norm, key_norm;
    std::vector<Linear> qkv;  ///< one fused, or query, key and value
    std::optional<Linear> output, gate, up, down;
    Tensor in, normed1, kept1, qkv_raw, qkv_turned, kept_q, kept_k, attended, m, l;
    Tensor mid, normed2, kept2, gate_out, up_out, acted;
    Tensor cache;  ///< keys and values of the text that decode() is in; made when it is first used
  };

  State(device::Device& d, const Architecture& architecture, const Weights& w, Trained& t,
        Profile p, float s, std::uint64_t most_rows, Format f)
      : device(d),
        a(architecture),
        weights(w),
        trained(t),
        profile(p),
        format(f),
        scale(s),
        most(most_rows),
        remembered(most_rows),
        bands(d, band_elements(a, f, p, t.tensors()), rotates(p) && f == Format::nf4),
        room(d, most_rows, widest(), limb_sizes(p, t.tensors())) {}

  std::uint64_t widest() const;  ///< columns of what Room has room for
  std::uint64_t qkv_width() const { return a.query_width() + 2 * a.kv_width(); }

  void build();
  Layer build_layer(std::uint64_t index);
  Place place(Slot slot);
  std::shared_ptr<const FrozenMatrix> frozen(const Slot& slot, Profile as);
  Linear linear(std::uint64_t layer, Part part, std::uint64_t out, std::uint64_t in, bool bias);
  Tensor keep(std::uint64_t cols) { return make_tensor(device, most, cols); }
  Words words(const std::vector<std::uint32_t>& values);
  kernels::Matrix now(const Tensor& tensor) const { return first_rows(tensor.matrix, rows); }

  void begin(const Batch& batch, const DropoutPlace& dropout);
  void embed();
  void forward(Layer& layer, const kernels::Matrix& out);
  void project();
  std::vector<float> read_logits() const;
  void backward(Layer& layer);
  void embed_backward();
  void norm(const Place& w, const Place& b, const kernels::Matrix& x, const kernels::Matrix& y,
            const Tensor& kept);
  void norm_backward(const Place& w, const Place& b, const kernels::Matrix& x, const Tensor& kept,
                     const kernels::Matrix& dy);
  void norm_heads(const Place& w, const kernels::Matrix& from, const kernels::Matrix& to,
                  const Tensor& kept);
  void norm_heads_backward(const Place& w, const kernels::Matrix& from, const Tensor& kept,
                           const kernels::Matrix& dy, const kernels::Matrix& to);
  template <class Arguments>
  Arguments attention_of(const Layer& layer) const;
  void turn(const kernels::Matrix& qkv, bool backward);
  /// Puts the newest keys and values behind those that are there, and has attention see all.
  void remember(Layer& layer, const kernels::Matrix& qkv,
                kernels::Attention<kernels::Given>& attention);
  void copy(const kernels::Matrix& from, const kernels::Matrix& to);
  kernels::Matrix zeroed(const Tensor& tensor);

  device::Device& device;
  const Architecture a;
  const Weights& weights;
  Trained& trained;
  const Profile profile;
  const Format format;
  const float scale;
  const std::uint64_t most;
  std::uint64_t remembered;  ///< tokens that a cache has room for
  Bands bands;
  Room room;

  Place tokens_table, positions_table, final_norm, final_norm_bias;
  std::vector<Layer> layers;
  std::optional<Linear> head;
  device::Buffer turns;
  Tensor x, final_kept, final_normed, logits, told, dx, d1, d2, dqkv, branch;

  Batch batch;
  DropoutPlace dropout;
  std::uint64_t rows = 0;
  std::uint64_t past = 0;  ///< tokens of the text so far, of decode()
  bool decoding = false;
  Words first, positions, targets, ids;
  std::uint32_t next_stream = first_dropout_stream;
};

}  // namespace volt::lm
