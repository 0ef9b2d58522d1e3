// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/network.hpp"
#include "libvolt/lm/network.hpp"
#include "libvolt/lm/network_memory.hpp"

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
  /// What a layer computes in a forward pass, beside what goes in.
  struct Activations {
    Tensor normed1, kept1, qkv_raw, qkv_turned, kept_q, kept_k, attended, m, l;
    Tensor mid, normed2, kept2, gate_out, up_out, acted;
  };
  struct Layer {
    Place attention_norm, attention_norm_bias, mlp_norm, mlp_norm_bias, query_norm, key_norm;
    std::vector<Linear> qkv;  ///< one fused, or query, key and value
    std::optional<Linear> output, gate, up, down;
    Tensor cache;  ///< keys and values of the text that decode() is in; made when it is first used
  };

  State(device::Device& d, const Architecture& architecture, const Weights& w, Trained& t,
        Profile p, float s, const Capacity& c, Format f)
      : device(d),
        a(architecture),
        weights(w),
        trained(t),
        profile(p),
        format(f),
        scale(s),
        capacity(c),
        remembered(c.rows),
        bands(d, band_elements(a, f, p, t.tensors()), f, p),
        room(d, room_size(a, t.tensors(), p, c)) {}

  void build();
  Layer build_layer(std::uint64_t index);
  Activations build_activations();
  Place place(Slot slot);
  std::shared_ptr<const FrozenMatrix> frozen(const Slot& slot, Profile as);
  Linear linear(std::uint64_t layer, Part part, std::uint64_t out, std::uint64_t in, bool bias);
  Tensor keep(std::uint64_t cols) { return make_tensor(device, capacity.rows, cols); }
  Words words(std::span<const std::uint32_t> values);
  kernels::Matrix now(const Tensor& tensor) const { return first_rows(tensor.matrix, rows); }

  void begin(const Batch& batch, const DropoutPlace& dropout);
  void embed();
  bool learns() const { return capacity.kept_layers != 0; }
  /// What goes into a layer, and behind the last one comes out.
  kernels::Matrix entering(std::size_t index) const { return now(xs[learns() ? index : 0]); }
  /// The activations of a layer: its own, or those that it shares with all layers before it.
  Activations& activations_of(std::size_t index);
  void forward();
  void forward(std::size_t index);
  /// All of a layer but its last product; `again`: its adapters are known from the first time.
  void compute(std::size_t index, bool again);
  /// Calls task(from, count) for all rows behind `from`, as many at a time as logits have room for.
  template <class Task>
  void each_chunk(std::uint64_t from, Task task);
  /// The logits of `count` rows of what leaves the last layer.
  kernels::Matrix project(std::uint64_t from, std::uint64_t count);
  /// Has the network see more tokens of the text that it is in.
  void see(std::span<const std::uint32_t> tokens);
  std::vector<float> read_logits(std::uint64_t after);  ///< of all rows but the first
  std::vector<Told> tell(bool learning);
  void backward(std::size_t index);
  void embed_backward(bool more);
  void scatter(const Place& table, const Words& of);  ///< what is in dx
  void scatter_waiting();
  void norm(const Place& w, const Place& b, const kernels::Matrix& x, const kernels::Matrix& y,
            const kernels::Matrix& kept);
  void norm_backward(const Place& w, const Place& b, const kernels::Matrix& x,
                     const kernels::Matrix& kept, const kernels::Matrix& dy,
                     const kernels::Matrix& to);
  void norm_heads(const Place& w, const kernels::Matrix& from, const kernels::Matrix& to,
                  const Tensor& kept);
  void norm_heads_backward(const Place& w, const kernels::Matrix& from, const Tensor& kept,
                           const kernels::Matrix& dy, const kernels::Matrix& to);
  template <class Arguments>
  Arguments attention_of(const Activations& of) const;
  void turn(const kernels::Matrix& qkv, bool backward);
  /// Puts the newest keys and values behind those that are there, and has attention see all.
  void remember(Layer& layer, const kernels::Matrix& qkv,
                kernels::Attention<kernels::Given>& attention);
  void copy(const kernels::Matrix& from, const kernels::Matrix& to);
  /// A matrix of so many columns in `work`, behind `before` columns of others.
  kernels::Matrix in_work(std::uint64_t before, std::uint64_t cols) const;
  kernels::Matrix zeroed_in_work(std::uint64_t before, std::uint64_t cols);

  device::Device& device;
  const Architecture a;
  const Weights& weights;
  Trained& trained;
  const Profile profile;
  const Format format;
  const float scale;
  const Capacity capacity;
  std::uint64_t remembered;  ///< tokens that a cache has room for
  Bands bands;
  Room room;

  Place tokens_table, positions_table, final_norm, final_norm_bias;
  std::vector<Layer> layers;
  std::optional<Linear> head;
  device::Buffer turns;
  std::vector<Activations> activations;
  std::vector<Tensor> xs;
  Tensor told, final_kept, final_normed, final_dnormed, dx;
  device::Buffer work;  ///< gradients within one layer, or logits

  Batch batch;
  DropoutPlace dropout;
  std::uint64_t rows = 0;
  std::uint64_t past = 0;  ///< tokens of the text so far, of decode()
  bool decoding = false;
  Words first, positions, targets, ids;
  /// Of the step's batches so far, what lookups in a tied embedding are to add to its gradient.
  std::vector<std::uint32_t> waiting_ids;
  std::vector<float> waiting_dx;
  std::uint32_t next_stream = first_dropout_stream;
};

}  // namespace volt::lm
