// SPDX-License-Identifier: Apache-2.0

#include "attention_graph.hpp"

#include <utility>

namespace volt::kernels {
namespace {

// Of backward that gives the same bits each time: it keeps all scores.
constexpr std::uint64_t most_workspace = std::uint64_t{512} << 20;

// The operations in the order and form in which cuDNN's engines of attention know them, which is
// that of NVIDIA's cudnn-frontend 1.32, tensor by tensor: the kernels that come of it are the same.
// Scores are fp32, what products take bf16, and a group of heads shares its k and v because the
// extents of theirs are less.
class AttentionGraph {
 public:
  AttentionGraph(const Cudnn& library, const AttentionShape& shape)
      : graph_(library),
        b_(shape.samples),
        s_(shape.rows),
        h_(shape.heads),
        kv_(shape.kv_heads),
        d_(shape.width) {
    lengths_ = lengths(AttentionTensor::lengths);
    key_lengths_ = lengths(AttentionTensor::key_lengths);
    scale_ = graph_.number(id(AttentionTensor::scale));
    q_ = heads(AttentionTensor::q, h_);
    k_turned_ = turned(AttentionTensor::k);
    out_ = heads(AttentionTensor::out, h_);
    statistics_ = rows(AttentionTensor::statistics);
  }

  std::optional<DnnPlan> compile(const DnnTarget& target) && {
    return std::move(graph_).compile(target);
  }

  void forward() {
    void* const s = causal(filled(scaled_scores()));
    void *const most = row(), *const less = scores(), *const e = scores();
    graph_.reduce(cudnn_reduce_max, s, most);
    graph_.pointwise(cudnn_pointwise_sub, s, most, less);
    graph_.pointwise(cudnn_pointwise_exp, less, nullptr, e);
    void *const sum = row(), *const log = row();
    graph_.reduce(cudnn_reduce_add, e, sum);
    graph_.pointwise(cudnn_pointwise_log, sum, nullptr, log);
    graph_.pointwise(cudnn_pointwise_add, most, log, statistics_);
    void* const p = scores(cudnn_bf16);
    graph_.pointwise(cudnn_pointwise_div, e, sum, p);
    graph_.multiply(p, heads(AttentionTensor::v, kv_), out_, {lengths_, nullptr, key_lengths_});
  }

  void backward(bool sums) {
    void* const dout = heads(AttentionTensor::dout, h_);
    void* const dots = dots_of(dout);
    void *const less = scores(), *const p = scores();
    graph_.pointwise(cudnn_pointwise_sub, scaled_scores(), statistics_, less);
    graph_.pointwise(cudnn_pointwise_exp, causal(filled(less)), nullptr, p);
    over_queries(p, dout, AttentionTensor::dv);

    void *const dp = scores(), *const apart = scores(), *const weighed = scores();
    graph_.multiply(dout, turned(AttentionTensor::v), dp, {lengths_, key_lengths_, nullptr});
    graph_.pointwise(cudnn_pointwise_sub, dp, dots, apart);
    graph_.pointwise(cudnn_pointwise_mul, apart, p, weighed);
    void* const ds = scores();
    graph_.pointwise(cudnn_pointwise_mul, weighed, scale_, ds);
    over_queries(ds, q_, AttentionTensor::dk);
    over_keys(ds, sums);
  }

 private:
  static std::int64_t id(AttentionTensor tensor) { return static_cast<std::int64_t>(tensor); }

  void* lengths(AttentionTensor tensor) {
    return graph_.stored(id(tensor), cudnn_int32, {b_, 1, 1, 1}, {1, 1, 1, 1});
  }
  void* heads(AttentionTensor tensor, std::int64_t count) {
    return graph_.stored(id(tensor), cudnn_bf16, {b_, count, s_, d_},
                         {s_ * count * d_, d_, count * d_, 1});
  }
  void* turned(AttentionTensor tensor) {  // k or v
    return graph_.stored(id(tensor), cudnn_bf16, {b_, kv_, d_, s_},
                         {s_ * kv_ * d_, d_, 1, kv_ * d_});
  }
  void* rows(AttentionTensor tensor) {
    return graph_.stored(id(tensor), cudnn_float, {b_, h_, s_, 1}, {h_ * s_, s_, 1, 1});
  }
  void* scores(CudnnData type = cudnn_float) {
    return graph_.between(type, {b_, h_, s_, s_}, {h_ * s_ * s_, s_ * s_, s_, 1});
  }
  void* row() { return graph_.between(cudnn_float, {b_, h_, s_, 1}, {h_ * s_, s_, 1, 1}); }

  void* scaled_scores() {
    void *const product = scores(), *const scaled = scores();
    graph_.multiply(q_, k_turned_, product, {lengths_, key_lengths_, nullptr});
    graph_.pointwise(cudnn_pointwise_mul, product, scale_, scaled);
    return scaled;
  }

  // What samples do not have is missing.
  void* filled(void* from) {
    void *const query = scores(cudnn_int32), *const key = scores(cudnn_int32);
    void *const of_queries = scores(cudnn_boolean), *const of_keys = scores(cudnn_boolean);
    void* const both = scores(cudnn_boolean);
    graph_.indices(2, from, query, cudnn_int32);
    graph_.indices(3, from, key, cudnn_int32);
    graph_.pointwise(cudnn_pointwise_cmp_lt, query, lengths_, of_queries, cudnn_boolean);
    graph_.pointwise(cudnn_pointwise_cmp_lt, key, key_lengths_, of_keys, cudnn_boolean);
    graph_.pointwise(cudnn_pointwise_logical_and, of_queries, of_keys, both, cudnn_boolean);
    return chosen(from, both, AttentionTensor::missing);
  }

  void* causal(void* from) {
    void *const query = scores(cudnn_int32), *const key = scores(cudnn_int32);
    void* const sees = scores(cudnn_boolean);
    graph_.indices(2, from, query, cudnn_float);
    graph_.indices(3, from, key, cudnn_float);
    graph_.pointwise(cudnn_pointwise_cmp_ge, query, key, sees, cudnn_boolean);
    return chosen(from, sees, AttentionTensor::unseen);
  }

  void* chosen(void* from, void* which, AttentionTensor otherwise) {
    void* const to = scores();
    graph_.pointwise(cudnn_pointwise_binary_select, from, graph_.number(id(otherwise)), to,
                     cudnn_float, which);
    return to;
  }

  void* dots_of(void* dout) {
    void* const products =
        graph_.between(cudnn_float, {b_, h_, s_, d_}, {h_ * s_ * d_, s_ * d_, h_ * d_, 1});
    void *const sum = row(), *const dots = rows(AttentionTensor::dots);
    graph_.pointwise(cudnn_pointwise_mul, dout, out_, products);
    graph_.reduce(cudnn_reduce_add, products, sum);
    graph_.pointwise(cudnn_pointwise_mul, sum, graph_.number(id(AttentionTensor::one)), dots);
    return dots;
  }

  // dk or dv: the weights, turned, by rows of queries, and then the sum of a group's heads.
  void over_queries(void* weights, void* of_queries, AttentionTensor to) {
    void* const by_keys =
        graph_.between(cudnn_bf16, {b_, h_, s_, s_}, {h_ * s_ * s_, s_ * s_, 1, s_});
    graph_.reshape(weights, by_keys);
    void* const result = heads(to, kv_);
    if (h_ == kv_) {
      graph_.multiply(by_keys, of_queries, result, {key_lengths_, nullptr, lengths_});
      return;
    }
    void* const each = graph_.between(cudnn_bf16, {b_, h_, s_, d_}, {h_ * s_ * d_, s_ * d_, d_, 1});
    graph_.multiply(by_keys, of_queries, each, {key_lengths_, nullptr, lengths_});
    graph_.reduce(cudnn_reduce_add, each, result);
  }

  void over_keys(void* ds, bool sums) {
    void* const k =
        graph_.between(cudnn_float, {b_, kv_, s_, d_}, {s_ * kv_ * d_, d_, kv_ * d_, 1});
    graph_.reshape(k_turned_, k);
    void* const dq = heads(AttentionTensor::dq, h_);
    if (!sums) {
      graph_.multiply(ds, k, dq, {lengths_, nullptr, key_lengths_});
      return;
    }
    void* const sum = graph_.stored(id(AttentionTensor::sums), cudnn_float, {b_, h_, s_, d_},
                                    {h_ * s_ * d_, s_ * d_, d_, 1});
    graph_.multiply(ds, k, sum, {lengths_, nullptr, key_lengths_});
    graph_.pointwise(cudnn_pointwise_identity, sum, nullptr, dq);
  }

  DnnGraph graph_;
  const std::int64_t b_, s_, h_, kv_, d_;
  void *lengths_, *key_lengths_, *scale_, *q_, *k_turned_, *out_, *statistics_;
};

}  // namespace

std::optional<AttentionPlan> plan_attention(const Cudnn& library, const DnnTarget& target,
                                            const AttentionShape& shape) {
  for (const bool sums : {false, true}) {
    AttentionGraph graph(library, shape);
    if (shape.backward) {
      graph.backward(sums);
    } else {
      graph.forward();
    }
    std::optional<DnnPlan> plan = std::move(graph).compile(target);
    const bool last = sums || !shape.backward;
    if (plan && (last || plan->workspace_bytes <= most_workspace)) {
      return AttentionPlan{std::move(*plan), sums};
    }
    if (last) break;
  }
  return {};
}

}  // namespace volt::kernels
