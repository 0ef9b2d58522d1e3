// SPDX-License-Identifier: Apache-2.0

// Forward and backward, layer by layer.

#include "libvolt/lm/network.hpp"

#include <cmath>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/lm/network_state.hpp"

namespace volt::lm {
namespace {

using kernels::Backend;
using kernels::Given;
using kernels::Matrix;

kernels::ActivationOf activation_of(const Architecture& a) {
  static constexpr kernels::Activation kinds[] = {
      kernels::Activation::silu, kernels::Activation::gelu_tanh, kernels::Activation::era};
  return {kinds[static_cast<int>(a.activation)], a.era_temperature, a.era_lambda};
}

}  // namespace

Words Network::State::words(const std::vector<std::uint32_t>& values) {
  Words result{device.create(4 * values.size()), {}};
  device.call(&Backend::upload, result.buffer.get(), std::uint64_t{0}, values.data(),
              std::uint64_t{4 * values.size()});
  result.matrix = {result.buffer.get(), 0, values.size(), 1, 1};
  return result;
}

void Network::State::copy(const Matrix& from, const Matrix& to) {
  device.call(&Backend::copy, static_cast<const kernels::Buffer*>(from.buffer), 4 * from.offset,
              to.buffer, 4 * to.offset, 4 * from.rows * from.cols);
}

Matrix Network::State::zeroed(const Tensor& tensor) {
  const Matrix matrix = now(tensor);
  room.zero(matrix);
  return matrix;
}

void Network::State::begin(const Batch& next, const DropoutPlace& place) {
  batch = next;
  dropout = place;
  rows = batch.tokens.size();
  first = words(batch.first);
  positions = words(batch.positions);
  targets = words(batch.targets);
  ids = words(batch.tokens);
}

void Network::State::embed() {
  const auto rows_of = [&](const Place& table, const std::vector<std::uint32_t>& of,
                           const Matrix& to) {
    if (table.table != nullptr) return table.table->gather(room, of, to);
    const std::vector<std::uint64_t> index(of.begin(), of.end());
    device.call(&Backend::select, kernels::Lines::rows, 4U, table.value, index.data(), to);
  };
  rows_of(tokens_table, batch.tokens, now(x));
  if (a.rope) return;
  rows_of(positions_table, batch.positions, now(branch));
  device.call(&kernels::Network::add, kernels::Add<Given>{now(branch), now(x)});
}

void Network::State::norm(const Place& w, const Place& b, const Matrix& from, const Matrix& to,
                          const Tensor& kept) {
  if (a.layer_norm) {
    device.call(&kernels::Network::layer_norm,
                kernels::LayerNorm<Given>{from, w.value, b.value, a.norm_epsilon, to, now(kept)});
  } else {
    device.call(&kernels::Network::rms_norm, kernels::RmsNorm<Given>{from, w.value, a.norm_epsilon,
                                                                     to, columns(now(kept), 0, 1)});
  }
}

void Network::State::norm_backward(const Place& w, const Place& b, const Matrix& from,
                                   const Tensor& kept, const Matrix& dy) {
  if (a.layer_norm) {
    device.call(&kernels::Network::layer_norm_backward,
                kernels::LayerNormBackward<Given>{from, w.value, now(kept), dy, now(dx), w.gradient,
                                                  b.gradient});
  } else {
    device.call(&kernels::Network::rms_norm_backward,
                kernels::RmsNormBackward<Given>{from, w.value, columns(now(kept), 0, 1), dy,
                                                now(dx), w.gradient});
  }
}

void Network::State::turn(const Matrix& qkv, bool backward) {
  if (!a.rope) return;
  // Heads of query and key alike.
  device.call(&kernels::Network::rope,
              kernels::Rope<Given>{columns(qkv, 0, a.query_width() + a.kv_width()),
                                   positions.matrix,
                                   {turns.get(), 0, 1, a.head_width / 2, a.head_width / 2},
                                   backward});
}

// A head is a strided matrix of its own.
void Network::State::norm_heads(const Place& w, const Matrix& from, const Matrix& to,
                                const Tensor& kept) {
  device.call(&kernels::Network::rms_norm,
              kernels::RmsNorm<Given>{from, w.value, a.norm_epsilon, to, now(kept)});
}

void Network::State::norm_heads_backward(const Place& w, const Matrix& from, const Tensor& kept,
                                         const Matrix& dy, const Matrix& to) {
  device.call(&kernels::Network::rms_norm_backward,
              kernels::RmsNormBackward<Given>{from, w.value, now(kept), dy, to, w.gradient});
}

/// What forward and backward have in common.
template <class Arguments>
Arguments Network::State::attention_of(const Layer& layer) const {
  const std::uint64_t q = a.query_width(), kv = a.kv_width();
  const Matrix qkv = now(a.qk_norm ? layer.qkv_turned : layer.qkv_raw);
  Arguments arguments{};
  arguments.q = columns(qkv, 0, q);
  arguments.k = columns(qkv, q, kv);
  arguments.v = columns(qkv, q + kv, kv);
  arguments.first = first.matrix;
  arguments.heads = static_cast<std::uint32_t>(a.heads);
  arguments.kv_heads = static_cast<std::uint32_t>(a.kv_heads);
  arguments.scale = 1.0F / std::sqrt(static_cast<float>(a.head_width));
  arguments.out = now(layer.attended);
  arguments.m = now(layer.m);
  arguments.l = now(layer.l);
  if (profile == Profile::i8x2) arguments.products = kernels::Products::limbs;
  return arguments;
}

void Network::State::remember(Layer& layer, const Matrix& qkv,
                              kernels::Attention<Given>& attention) {
  const std::uint64_t q = a.query_width(), kv = a.kv_width();
  if (layer.cache.buffer.get() == nullptr) {
    layer.cache = make_tensor(device, remembered, 2 * kv);
  }
  const Matrix& all = layer.cache.matrix;
  const Matrix newest = {all.buffer, past * all.stride, rows, all.cols, all.stride};
  std::vector<std::uint64_t> index(rows);
  std::iota(index.begin(), index.end(), 0U);
  device.call(&Backend::select, kernels::Lines::rows, 4U, columns(qkv, q, 2 * kv), index.data(),
              newest);
  const Matrix seen = first_rows(all, past + rows);
  attention.k = columns(seen, 0, kv);
  attention.v = columns(seen, kv, kv);
}

void Network::State::forward(Layer& layer, const Matrix& out) {
  const std::uint64_t q = a.query_width(), kv = a.kv_width();
  copy(now(x), now(layer.in));
  norm(layer.attention_norm, layer.attention_norm_bias, now(layer.in), now(layer.normed1),
       layer.kept1);
  Matrix qkv = now(layer.qkv_raw);
  if (a.conv1d) {
    layer.qkv[0].forward(room, now(layer.normed1), qkv, dropout);
  } else {
    layer.qkv[0].forward(room, now(layer.normed1), columns(qkv, 0, q), dropout);
    layer.qkv[1].forward(room, now(layer.normed1), columns(qkv, q, kv), dropout);
    layer.qkv[2].forward(room, now(layer.normed1), columns(qkv, q + kv, kv), dropout);
  }
  if (a.qk_norm) {
    const Matrix raw = qkv;
    qkv = now(layer.qkv_turned);
    copy(raw, qkv);
    norm_heads(layer.query_norm, columns(raw, 0, q), columns(qkv, 0, q), layer.kept_q);
    norm_heads(layer.key_norm, columns(raw, q, kv), columns(qkv, q, kv), layer.kept_k);
  }
  turn(qkv, false);
  auto attention = attention_of<kernels::Attention<Given>>(layer);
  if (decoding) remember(layer, qkv, attention);
  device.call(&kernels::Network::attention, attention);
  layer.output->forward(room, now(layer.attended), now(branch), dropout);
  copy(now(layer.in), now(layer.mid));
  device.call(&kernels::Network::add, kernels::Add<Given>{now(branch), now(layer.mid)});
  norm(layer.mlp_norm, layer.mlp_norm_bias, now(layer.mid), now(layer.normed2), layer.kept2);
  layer.up->forward(room, now(layer.normed2), now(layer.up_out), dropout);
  if (a.gated) {
    layer.gate->forward(room, now(layer.normed2), now(layer.gate_out), dropout);
    device.call(&kernels::Network::activate,
                kernels::Activate<Given>{activation_of(a), now(layer.gate_out), now(layer.up_out),
                                         now(layer.acted)});
  } else {
    device.call(
        &kernels::Network::activate,
        kernels::Activate<Given>{activation_of(a), now(layer.up_out), {}, now(layer.acted)});
  }
  layer.down->forward(room, now(layer.acted), now(branch), dropout);
  copy(now(layer.mid), out);
  device.call(&kernels::Network::add, kernels::Add<Given>{now(branch), out});
}

void Network::State::project() {
  norm(final_norm, final_norm_bias, now(x), now(final_normed), final_kept);
  head->forward(room, now(final_normed), now(logits), {});
}

std::vector<float> Network::State::read_logits() const {
  std::vector<float> values(rows * a.vocabulary);
  device.call(&Backend::download, static_cast<const kernels::Buffer*>(logits.buffer.get()),
              std::uint64_t{0}, static_cast<void*>(values.data()),
              std::uint64_t{4 * values.size()});
  return values;
}

void Network::State::backward(Layer& layer) {
  const std::uint64_t q = a.query_width(), kv = a.kv_width(), f = a.ff_width;
  const auto part = [&](const Tensor& tensor, std::uint64_t cols) {
    return Matrix{tensor.buffer.get(), 0, rows, cols, cols};
  };
  const auto zero = [&](const Tensor& tensor, std::uint64_t cols) {
    const Matrix matrix = part(tensor, cols);
    room.zero(matrix);
    return matrix;
  };
  // mid + down(act(gate, up))
  const Matrix dacted = zero(d1, f);
  layer.down->backward(room, now(layer.acted), now(dx), dacted);
  const Matrix dup = part(d2, f), dgate = part(dqkv, f);
  if (a.gated) {
    device.call(&kernels::Network::activate_backward,
                kernels::ActivateBackward<Given>{activation_of(a), now(layer.gate_out),
                                                 now(layer.up_out), dacted, dgate, dup});
  } else {
    device.call(
        &kernels::Network::activate_backward,
        kernels::ActivateBackward<Given>{activation_of(a), now(layer.up_out), {}, dacted, dup, {}});
  }
  const Matrix dnormed = zeroed(branch);
  layer.up->backward(room, now(layer.normed2), dup, dnormed);
  if (a.gated) layer.gate->backward(room, now(layer.normed2), dgate, dnormed);
  norm_backward(layer.mlp_norm, layer.mlp_norm_bias, now(layer.mid), layer.kept2, dnormed);
  // in + output(attention(...))
  const Matrix dattended = zero(d1, q);
  layer.output->backward(room, now(layer.attended), now(dx), dattended);
  Matrix d = zero(dqkv, qkv_width());
  auto attention = attention_of<kernels::AttentionBackward<Given>>(layer);
  attention.dout = dattended;
  attention.dq = columns(d, 0, q);
  attention.dk = columns(d, q, kv);
  attention.dv = columns(d, q + kv, kv);
  device.call(&kernels::Network::attention_backward, attention);
  turn(d, true);
  if (a.qk_norm) {
    const Matrix raw = zero(d2, qkv_width());
    norm_heads_backward(layer.query_norm, columns(now(layer.qkv_raw), 0, q), layer.kept_q,
                        columns(d, 0, q), columns(raw, 0, q));
    norm_heads_backward(layer.key_norm, columns(now(layer.qkv_raw), q, kv), layer.kept_k,
                        columns(d, q, kv), columns(raw, q, kv));
    device.call(&kernels::Network::add,
                kernels::Add<Given>{columns(d, q + kv, kv), columns(raw, q + kv, kv)});
    d = raw;
  }
  room.zero(dnormed);
  if (a.conv1d) {
    layer.qkv[0].backward(room, now(layer.normed1), d, dnormed);
  } else {
    layer.qkv[0].backward(room, now(layer.normed1), columns(d, 0, q), dnormed);
    layer.qkv[1].backward(room, now(layer.normed1), columns(d, q, kv), dnormed);
    layer.qkv[2].backward(room, now(layer.normed1), columns(d, q + kv, kv), dnormed);
  }
  norm_backward(layer.attention_norm, layer.attention_norm_bias, now(layer.in), layer.kept1,
                dnormed);
}

void Network::State::embed_backward() {
  const auto scatter = [&](const Place& table, const Words& of) {
    if (table.gradient.buffer == nullptr) return;
    device.call(&kernels::Network::scatter_rows,
                kernels::ScatterRows<Given>{of.matrix, now(dx), table.gradient});
  };
  scatter(tokens_table, ids);
  if (!a.rope) scatter(positions_table, positions);
}

std::vector<Told> Network::forward(const Batch& batch, const DropoutPlace& dropout) {
  State& s = *state_;
  s.begin(batch, dropout);
  s.embed();
  for (auto& layer : s.layers) s.forward(layer, s.now(s.x));
  s.project();
  s.device.call(&kernels::Network::cross_entropy,
                kernels::CrossEntropy<Given>{s.now(s.logits), s.targets.matrix, s.now(s.told)});
  std::vector<Told> told(s.rows);
  static_assert(sizeof(Told) == 3 * sizeof(float));
  s.device.call(&Backend::download, static_cast<const kernels::Buffer*>(s.told.buffer.get()),
                std::uint64_t{0}, static_cast<void*>(told.data()),
                std::uint64_t{told.size() * sizeof(Told)});
  return told;
}

std::vector<float> Network::logits(const Batch& batch) {
  State& s = *state_;
  s.begin(batch, {});
  s.embed();
  for (auto& layer : s.layers) s.forward(layer, s.now(s.x));
  s.project();
  return s.read_logits();
}

void Network::forget() { state_->past = 0; }

void Network::keep(std::uint64_t tokens) {
  for (auto& layer : state_->layers) layer.cache = {};
  state_->remembered = tokens;
  forget();
}

std::vector<float> Network::decode(std::span<const std::uint32_t> tokens, std::uint64_t rows) {
  State& s = *state_;
  if (tokens.size() > s.most || s.past + tokens.size() > s.remembered) {
    throw Error(Exit::usage, "the text is longer than " + std::to_string(s.remembered) + " tokens");
  }
  Batch batch;
  batch.tokens.assign(tokens.begin(), tokens.end());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    batch.positions.push_back(static_cast<std::uint32_t>(s.past + i));
  }
  batch.first.resize(s.past + tokens.size());  // of every key: the one sample
  batch.targets.assign(tokens.size(), kernels::no_target);
  s.begin(batch, {});
  s.embed();
  s.decoding = true;
  for (auto& layer : s.layers) s.forward(layer, s.now(s.x));
  s.decoding = false;
  s.past += tokens.size();
  if (rows == 0) return {};
  // The head is for the last tokens alone.
  const Matrix last = {s.x.matrix.buffer, (s.rows - rows) * s.a.width, rows, s.a.width, s.a.width};
  s.rows = rows;
  s.copy(last, s.now(s.branch));
  s.norm(s.final_norm, s.final_norm_bias, s.now(s.branch), s.now(s.final_normed), s.final_kept);
  s.head->forward(s.room, s.now(s.final_normed), s.now(s.logits), {});
  return s.read_logits();
}

void Network::backward() {
  State& s = *state_;
  const Matrix dnormed = s.zeroed(s.branch);
  s.head->backward(s.room, s.now(s.final_normed), s.now(s.logits), dnormed);
  s.zeroed(s.dx);
  s.norm_backward(s.final_norm, s.final_norm_bias, s.now(s.x), s.final_kept, dnormed);
  for (auto layer = s.layers.rbegin(); layer != s.layers.rend(); ++layer) s.backward(*layer);
  s.embed_backward();
}

}  // namespace volt::lm
