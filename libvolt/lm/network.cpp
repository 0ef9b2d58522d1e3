// SPDX-License-Identifier: Apache-2.0

// Forward and backward, layer by layer.

#include "libvolt/lm/network.hpp"

#include <algorithm>
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

Words Network::State::words(std::span<const std::uint32_t> values) {
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

Matrix Network::State::in_work(std::uint64_t before, std::uint64_t cols) const {
  return {work.get(), rows * before, rows, cols, cols};
}

Matrix Network::State::zeroed_in_work(std::uint64_t before, std::uint64_t cols) {
  const Matrix matrix = in_work(before, cols);
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
  const auto look_up = [&](const Place& table, const std::vector<std::uint32_t>& of,
                           const Matrix& to) {
    if (table.table != nullptr) return table.table->gather(room, of, to);
    const std::vector<std::uint64_t> index(of.begin(), of.end());
    device.call(&Backend::select, kernels::Lines::rows, 4U, table.value, index.data(), to);
  };
  look_up(tokens_table, batch.tokens, entering(0));
  if (a.rope) return;
  const Matrix of_positions = in_work(0, a.width);
  look_up(positions_table, batch.positions, of_positions);
  device.call(&kernels::Network::add, kernels::Add<Given>{of_positions, entering(0)});
}

void Network::State::norm(const Place& w, const Place& b, const Matrix& from, const Matrix& to,
                          const Matrix& kept) {
  if (a.layer_norm) {
    device.call(&kernels::Network::layer_norm,
                kernels::LayerNorm<Given>{from, w.value, b.value, a.norm_epsilon, to, kept});
  } else {
    device.call(&kernels::Network::rms_norm,
                kernels::RmsNorm<Given>{from, w.value, a.norm_epsilon, to, columns(kept, 0, 1)});
  }
}

void Network::State::norm_backward(const Place& w, const Place& b, const Matrix& from,
                                   const Matrix& kept, const Matrix& dy, const Matrix& to) {
  if (a.layer_norm) {
    device.call(
        &kernels::Network::layer_norm_backward,
        kernels::LayerNormBackward<Given>{from, w.value, kept, dy, to, w.gradient, b.gradient});
  } else {
    device.call(
        &kernels::Network::rms_norm_backward,
        kernels::RmsNormBackward<Given>{from, w.value, columns(kept, 0, 1), dy, to, w.gradient});
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
Arguments Network::State::attention_of(const Activations& of) const {
  const std::uint64_t q = a.query_width(), kv = a.kv_width();
  const Matrix qkv = now(a.qk_norm ? of.qkv_turned : of.qkv_raw);
  Arguments arguments{};
  arguments.q = columns(qkv, 0, q);
  arguments.k = columns(qkv, q, kv);
  arguments.v = columns(qkv, q + kv, kv);
  arguments.first = first.matrix;
  arguments.heads = static_cast<std::uint32_t>(a.heads);
  arguments.kv_heads = static_cast<std::uint32_t>(a.kv_heads);
  arguments.scale = 1.0F / std::sqrt(static_cast<float>(a.head_width));
  arguments.out = now(of.attended);
  arguments.m = now(of.m);
  arguments.l = now(of.l);
  if (profile == Profile::i8x2) arguments.products = kernels::Products::limbs;
  if (profile == Profile::native) arguments.products = kernels::Products::rounded;
  return arguments;
}

void Network::State::remember(Layer& layer, const Matrix& qkv,
                              kernels::Attention<Given>& attention) {
  const std::uint64_t q = a.query_width(), kv = a.kv_width();
  if (layer.cache.buffer.get() == nullptr) {
    layer.cache = make_tensor(device, remembered, 2 * kv);
  }
  const Matrix& all = layer.cache.matrix;
  const Matrix newest = rows_of(all, past, rows);
  std::vector<std::uint64_t> index(rows);
  std::iota(index.begin(), index.end(), 0U);
  device.call(&Backend::select, kernels::Lines::rows, 4U, columns(qkv, q, 2 * kv), index.data(),
              newest);
  const Matrix seen = first_rows(all, past + rows);
  attention.k = columns(seen, 0, kv);
  attention.v = columns(seen, kv, kv);
}

Network::State::Activations& Network::State::activations_of(std::size_t index) {
  const std::size_t shared = layers.size() - activations.size();
  return activations[index < shared ? 0 : index - shared];
}

void Network::State::compute(std::size_t index, bool again) {
  const std::uint64_t q = a.query_width(), kv = a.kv_width();
  Layer& layer = layers[index];
  Activations& of = activations_of(index);
  const auto multiply = [&](Linear& linear, const Matrix& from, const Matrix& to) {
    again ? linear.forward_again(room, from, to) : linear.forward(room, from, to, dropout);
  };
  const Matrix in = entering(index);
  norm(layer.attention_norm, layer.attention_norm_bias, in, now(of.normed1), now(of.kept1));
  Matrix qkv = now(of.qkv_raw);
  if (a.conv1d) {
    multiply(layer.qkv[0], now(of.normed1), qkv);
  } else {
    multiply(layer.qkv[0], now(of.normed1), columns(qkv, 0, q));
    multiply(layer.qkv[1], now(of.normed1), columns(qkv, q, kv));
    multiply(layer.qkv[2], now(of.normed1), columns(qkv, q + kv, kv));
  }
  if (a.qk_norm) {
    const Matrix raw = qkv;
    qkv = now(of.qkv_turned);
    copy(raw, qkv);
    norm_heads(layer.query_norm, columns(raw, 0, q), columns(qkv, 0, q), of.kept_q);
    norm_heads(layer.key_norm, columns(raw, q, kv), columns(qkv, q, kv), of.kept_k);
  }
  turn(qkv, false);
  auto attention = attention_of<kernels::Attention<Given>>(of);
  if (decoding) remember(layer, qkv, attention);
  device.call(&kernels::Network::attention, attention);
  multiply(*layer.output, now(of.attended), now(of.mid));
  device.call(&kernels::Network::add, kernels::Add<Given>{in, now(of.mid)});
  norm(layer.mlp_norm, layer.mlp_norm_bias, now(of.mid), now(of.normed2), now(of.kept2));
  multiply(*layer.up, now(of.normed2), now(of.up_out));
  if (a.gated) multiply(*layer.gate, now(of.normed2), now(of.gate_out));
  device.call(&kernels::Network::activate,
              kernels::Activate<Given>{activation_of(a), now(a.gated ? of.gate_out : of.up_out),
                                       a.gated ? now(of.up_out) : Matrix{}, now(of.acted)});
}

void Network::State::forward(std::size_t index) {
  compute(index, false);
  const Activations& of = activations_of(index);
  const Matrix out = entering(index + 1);
  layers[index].down->forward(room, now(of.acted), out, dropout);
  device.call(&kernels::Network::add, kernels::Add<Given>{now(of.mid), out});
}

void Network::State::forward() {
  embed();
  for (std::size_t i = 0; i < layers.size(); ++i) forward(i);
}

template <class Task>
void Network::State::each_chunk(std::uint64_t from, Task task) {
  const std::uint64_t most = final_normed.matrix.rows;
  for (; from < rows; from += most) task(from, std::min(most, rows - from));
}

Matrix Network::State::project(std::uint64_t from, std::uint64_t count) {
  const Matrix normed = first_rows(final_normed.matrix, count);
  const Matrix logits = {work.get(), 0, count, a.vocabulary, a.vocabulary};
  norm(final_norm, final_norm_bias, rows_of(entering(layers.size()), from, count), normed,
       first_rows(final_kept.matrix, count));
  head->forward(room, normed, logits, {});
  return logits;
}

std::vector<float> Network::State::read_logits(std::uint64_t after) {
  std::vector<float> values((rows - after) * a.vocabulary);
  float* to = values.data();
  each_chunk(after, [&](std::uint64_t from, std::uint64_t count) {
    const Matrix some = project(from, count);
    device.call(&Backend::download, static_cast<const kernels::Buffer*>(some.buffer),
                std::uint64_t{0}, static_cast<void*>(to), 4 * count * a.vocabulary);
    to += count * a.vocabulary;
  });
  return values;
}

std::vector<Told> Network::State::tell(bool learning) {
  if (learning) room.zero(now(dx));
  each_chunk(0, [&](std::uint64_t from, std::uint64_t count) {
    const Matrix some = project(from, count);
    device.call(&kernels::Network::cross_entropy,
                kernels::CrossEntropy<Given>{some, rows_of(targets.matrix, from, count),
                                             rows_of(told.matrix, from, count)});
    if (!learning) return;
    // In place of the logits there is now their gradient.
    const Matrix dnormed = first_rows(final_dnormed.matrix, count);
    room.zero(dnormed);
    head->backward(room, first_rows(final_normed.matrix, count), some, dnormed);
    norm_backward(final_norm, final_norm_bias, rows_of(entering(layers.size()), from, count),
                  first_rows(final_kept.matrix, count), dnormed, rows_of(now(dx), from, count));
  });
  std::vector<Told> values(rows);
  static_assert(sizeof(Told) == 3 * sizeof(float));
  device.call(&Backend::download, static_cast<const kernels::Buffer*>(told.buffer.get()),
              std::uint64_t{0}, static_cast<void*>(values.data()),
              std::uint64_t{values.size() * sizeof(Told)});
  return values;
}

void Network::State::see(std::span<const std::uint32_t> tokens) {
  if (tokens.size() > capacity.rows || past + tokens.size() > remembered) {
    throw Error(Exit::usage, "the text is longer than " + std::to_string(remembered) + " tokens");
  }
  Batch next;
  next.tokens.assign(tokens.begin(), tokens.end());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    next.positions.push_back(static_cast<std::uint32_t>(past + i));
  }
  next.first.resize(past + tokens.size());  // of every key: the one sample
  next.targets.assign(tokens.size(), kernels::no_target);
  begin(next, {});
  decoding = true;
  forward();
  decoding = false;
  past += tokens.size();
}

void Network::State::backward(std::size_t index) {
  const std::uint64_t q = a.query_width(), kv = a.kv_width();
  Layer& layer = layers[index];
  // The last of the layers that share theirs has left them as they are wanted.
  if (index < layers.size() - activations.size()) compute(index, true);
  const Activations& of = activations_of(index);
  // mid + down(act(gate, up)), whose gradients take the places of gate and up.
  const Matrix gate = now(a.gated ? of.gate_out : of.up_out), up = now(of.up_out);
  const Matrix dacted = zeroed_in_work(0, a.ff_width);
  layer.down->backward(room, now(of.acted), now(dx), dacted);
  device.call(&kernels::Network::activate_backward,
              kernels::ActivateBackward<Given>{activation_of(a), gate, a.gated ? up : Matrix{},
                                               dacted, gate, a.gated ? up : Matrix{}});
  Matrix dnormed = zeroed_in_work(0, a.width);
  layer.up->backward(room, now(of.normed2), up, dnormed);
  if (a.gated) layer.gate->backward(room, now(of.normed2), gate, dnormed);
  norm_backward(layer.mlp_norm, layer.mlp_norm_bias, now(of.mid), now(of.kept2), dnormed, now(dx));
  // in + output(attention(...))
  const std::uint64_t behind = std::max(q, a.width);
  const Matrix dattended = zeroed_in_work(0, q);
  layer.output->backward(room, now(of.attended), now(dx), dattended);
  Matrix d = zeroed_in_work(behind, a.qkv_width());
  auto attention = attention_of<kernels::AttentionBackward<Given>>(of);
  attention.dout = dattended;
  attention.dq = columns(d, 0, q);
  attention.dk = columns(d, q, kv);
  attention.dv = columns(d, q + kv, kv);
  device.call(&kernels::Network::attention_backward, attention);
  turn(d, true);
  if (a.qk_norm) {
    const Matrix raw = zeroed_in_work(behind + a.qkv_width(), a.qkv_width());
    norm_heads_backward(layer.query_norm, columns(now(of.qkv_raw), 0, q), of.kept_q,
                        columns(d, 0, q), columns(raw, 0, q));
    norm_heads_backward(layer.key_norm, columns(now(of.qkv_raw), q, kv), of.kept_k,
                        columns(d, q, kv), columns(raw, q, kv));
    device.call(&kernels::Network::add,
                kernels::Add<Given>{columns(d, q + kv, kv), columns(raw, q + kv, kv)});
    d = raw;
  }
  dnormed = zeroed_in_work(0, a.width);
  if (a.conv1d) {
    layer.qkv[0].backward(room, now(of.normed1), d, dnormed);
  } else {
    layer.qkv[0].backward(room, now(of.normed1), columns(d, 0, q), dnormed);
    layer.qkv[1].backward(room, now(of.normed1), columns(d, q, kv), dnormed);
    layer.qkv[2].backward(room, now(of.normed1), columns(d, q + kv, kv), dnormed);
  }
  norm_backward(layer.attention_norm, layer.attention_norm_bias, entering(index), now(of.kept1),
                dnormed, now(dx));
}

void Network::State::scatter(const Place& table, const Words& of) {
  if (table.gradient.buffer == nullptr) return;
  const Matrix rows_of_these = first_rows(dx.matrix, of.matrix.rows);
  device.call(&kernels::Network::scatter_rows,
              kernels::ScatterRows<Given>{of.matrix, rows_of_these, table.gradient});
}

void Network::State::embed_backward(bool more) {
  if (!a.rope) scatter(positions_table, positions);
  const bool is_head_too = a.tied && tokens_table.gradient.buffer != nullptr;
  if (!is_head_too || (!more && waiting_ids.empty())) return scatter(tokens_table, ids);
  waiting_ids.insert(waiting_ids.end(), batch.tokens.begin(), batch.tokens.end());
  const std::size_t before = waiting_dx.size();
  waiting_dx.resize(before + rows * a.width);
  device.call(&Backend::download, static_cast<const kernels::Buffer*>(dx.buffer.get()),
              std::uint64_t{0}, static_cast<void*>(waiting_dx.data() + before), 4 * rows * a.width);
  if (!more) scatter_waiting();
}

void Network::State::scatter_waiting() {
  const float* from = waiting_dx.data();
  for (std::size_t i = 0; i < waiting_ids.size(); i += capacity.rows) {
    const std::size_t count = std::min<std::size_t>(capacity.rows, waiting_ids.size() - i);
    ids = words({waiting_ids.data() + i, count});
    device.call(&Backend::upload, dx.buffer.get(), std::uint64_t{0}, static_cast<const void*>(from),
                4 * count * a.width);
    scatter(tokens_table, ids);
    from += count * a.width;
  }
  waiting_ids.clear();
  waiting_dx.clear();
}

std::vector<Told> Network::forward(const Batch& batch) {
  state_->begin(batch, {});
  state_->forward();
  return state_->tell(false);
}

std::vector<Told> Network::forward_backward(const Batch& batch, const DropoutPlace& dropout,
                                            bool more) {
  State& s = *state_;
  s.begin(batch, dropout);
  s.forward();
  auto told = s.tell(true);
  for (std::size_t i = s.layers.size(); i-- != 0;) s.backward(i);
  s.embed_backward(more);
  return told;
}

std::vector<float> Network::logits(const Batch& batch) {
  state_->begin(batch, {});
  state_->forward();
  return state_->read_logits(0);
}

void Network::forget() { state_->past = 0; }

void Network::keep(std::uint64_t tokens) {
  for (auto& layer : state_->layers) layer.cache = {};
  state_->remembered = tokens;
  forget();
}

std::vector<float> Network::decode(std::span<const std::uint32_t> tokens, std::uint64_t rows) {
  state_->see(tokens);
  return state_->read_logits(state_->rows - rows);
}

std::vector<std::uint32_t> Network::draw(std::span<const std::uint32_t> tokens, std::uint64_t rows,
                                         const Sampler& sampler, std::uint64_t text) {
  State& s = *state_;
  s.see(tokens);
  const std::uint64_t before = s.rows - rows;
  std::vector<std::uint32_t> drawn(rows);
  // Nothing is told of these rows: their tokens take its place.
  const Matrix there = {s.told.buffer.get(), 0, rows, 1, 1};
  s.each_chunk(before, [&](std::uint64_t from, std::uint64_t count) {
    const std::uint64_t next = s.past - s.rows + from + 1;  // the position of the first one drawn
    s.device.call(&kernels::Network::draw, sampler.draw(s.project(from, count), text, next,
                                                        rows_of(there, from - before, count)));
  });
  s.device.call(&Backend::download, static_cast<const kernels::Buffer*>(there.buffer),
                std::uint64_t{0}, static_cast<void*>(drawn.data()), std::uint64_t{4 * rows});
  return drawn;
}

}  // namespace volt::lm
