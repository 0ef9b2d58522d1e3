// SPDX-License-Identifier: Apache-2.0

// The operations of network.hpp: checks, and then the engine of the context.

#include <cmath>
#include <type_traits>

#include "check.hpp"
#include "network_engine.hpp"

namespace volt::kernels {
namespace {

// Has the engine do it when the arguments are good and there is something to be done.
template <class Result, class Job>
Status perform(Context* context, const Check& check,
               Result (*NetworkEngine::*operation)(Context&, const Job&), const Job& job,
               bool empty) {
  if (check.failed() || empty) return check.status();
  Turn turn(*context);
  const auto run = context->engine.network->*operation;
  bool enough = true;
  if constexpr (std::is_same_v<Result, bool>) {
    enough = run(*context, job);
  } else {
    run(*context, job);
  }
  const Status status = turn.end();
  if (status.code != Status::ok || enough) return status;
  return say(Status::out_of_memory, "no memory left for packed operands");
}

bool absent(const Matrix& matrix) { return matrix.buffer == nullptr && matrix.rows == 0; }
bool empty(const Matrix& matrix) { return matrix.rows == 0 || matrix.cols == 0; }

void shaped(Check& check, const char* rows, const char* cols, const Matrix& matrix,
            std::uint64_t expected_rows, std::uint64_t expected_cols) {
  check.equal(rows, matrix.rows, "what it should be", expected_rows);
  check.equal(cols, matrix.cols, "what it should be", expected_cols);
}

#define VOLT_SHAPED(matrix, rows, cols) \
  shaped(check, #matrix ".rows", #matrix ".cols", args.matrix, rows, cols)
#define VOLT_IN(matrix) check.view<const float>(#matrix, args.matrix)
#define VOLT_OUT(matrix) check.view<float>(#matrix, args.matrix)

// Of operations whose result lies apart from all that they read.
template <class Result, class... Inputs>
void apart(Check& check, const char* what, const Result& result, const Inputs&... inputs) {
  (check.apart(what, result, "an operand", inputs), ...);
}

// Of a result that lies where one operand does, as it takes of it no other element than its own, or
// its own group.
template <class Result, class Input>
void apart_or_same(Check& check, const char* what, const Result& result, const Input& input) {
  const bool same = result.data == input.data && result.rows == input.rows &&
                    result.cols == input.cols && result.stride == input.stride;
  if (!same) apart(check, what, result, input);
}

// How many heads of w's columns there are side by side in x.
std::uint64_t heads_of(Check& check, const Matrix& x, const Matrix& w) {
  if (w.cols != 0 && x.cols % w.cols == 0) return x.cols / w.cols;
  check.invalid("x.cols is %" PRIu64 ", not whole heads of %" PRIu64, x.cols, w.cols);
  return 1;
}

Status rms_norm(Context* context, const RmsNorm<Given>& args) {
  Check check;
  VOLT_SHAPED(w, 1, args.w.cols);
  VOLT_SHAPED(y, args.x.rows, args.x.cols);
  VOLT_SHAPED(r, args.x.rows, heads_of(check, args.x, args.w));
  const RmsNorm<Checked> job = {VOLT_IN(x), VOLT_IN(w), args.epsilon, VOLT_OUT(y), VOLT_OUT(r)};
  apart(check, "y", job.y, job.x, job.w, job.r);
  apart(check, "r", job.r, job.x, job.w);
  return perform(context, check, &NetworkEngine::rms_norm, job, empty(args.x));
}

Status rms_norm_backward(Context* context, const RmsNormBackward<Given>& args) {
  Check check;
  VOLT_SHAPED(w, 1, args.w.cols);
  VOLT_SHAPED(r, args.x.rows, heads_of(check, args.x, args.w));
  VOLT_SHAPED(dy, args.x.rows, args.x.cols);
  VOLT_SHAPED(dx, args.x.rows, args.x.cols);
  if (!absent(args.dw)) VOLT_SHAPED(dw, 1, args.w.cols);
  const RmsNormBackward<Checked> job = {VOLT_IN(x),  VOLT_IN(w),   VOLT_IN(r),
                                        VOLT_IN(dy), VOLT_OUT(dx), VOLT_OUT(dw)};
  apart(check, "dx", job.dx, job.x, job.w, job.r, job.dy, job.dw);
  apart(check, "dw", job.dw, job.x, job.w, job.r, job.dy);
  return perform(context, check, &NetworkEngine::rms_norm_backward, job, empty(args.x));
}

Status layer_norm(Context* context, const LayerNorm<Given>& args) {
  Check check;
  VOLT_SHAPED(w, 1, args.x.cols);
  VOLT_SHAPED(b, 1, args.x.cols);
  VOLT_SHAPED(y, args.x.rows, args.x.cols);
  VOLT_SHAPED(kept, args.x.rows, 2);
  const LayerNorm<Checked> job = {VOLT_IN(x),   VOLT_IN(w),  VOLT_IN(b),
                                  args.epsilon, VOLT_OUT(y), VOLT_OUT(kept)};
  apart(check, "y", job.y, job.x, job.w, job.b, job.kept);
  apart(check, "kept", job.kept, job.x, job.w, job.b);
  return perform(context, check, &NetworkEngine::layer_norm, job, empty(args.x));
}

Status layer_norm_backward(Context* context, const LayerNormBackward<Given>& args) {
  Check check;
  VOLT_SHAPED(w, 1, args.x.cols);
  VOLT_SHAPED(kept, args.x.rows, 2);
  VOLT_SHAPED(dy, args.x.rows, args.x.cols);
  VOLT_SHAPED(dx, args.x.rows, args.x.cols);
  if (absent(args.dw) != absent(args.db)) check.invalid("dw and db are wanted together");
  if (!absent(args.dw)) {
    VOLT_SHAPED(dw, 1, args.x.cols);
    VOLT_SHAPED(db, 1, args.x.cols);
  }
  const LayerNormBackward<Checked> job = {VOLT_IN(x),   VOLT_IN(w),   VOLT_IN(kept), VOLT_IN(dy),
                                          VOLT_OUT(dx), VOLT_OUT(dw), VOLT_OUT(db)};
  apart(check, "dx", job.dx, job.x, job.w, job.kept, job.dy, job.dw, job.db);
  apart(check, "dw", job.dw, job.x, job.w, job.kept, job.dy, job.db);
  apart(check, "db", job.db, job.x, job.w, job.kept, job.dy);
  return perform(context, check, &NetworkEngine::layer_norm_backward, job, empty(args.x));
}

Status rope(Context* context, const Rope<Given>& args) {
  Check check;
  VOLT_SHAPED(positions, args.x.rows, 1);
  check.equal("turns.rows", args.turns.rows, "a row", 1);
  if (args.turns.cols == 0 || args.x.cols % (2 * args.turns.cols) != 0) {
    check.invalid("x.cols is %" PRIu64 ", not whole heads of %" PRIu64, args.x.cols,
                  2 * args.turns.cols);
  }
  const Rope<Checked> job = {VOLT_OUT(x),
                             check.view<const std::uint32_t>("positions", args.positions),
                             check.view<const std::uint64_t>("turns", args.turns), args.backward};
  apart(check, "x", job.x, job.positions, job.turns);
  return perform(context, check, &NetworkEngine::rope, job, empty(args.x));
}

template <class Args>
void check_attention(Check& check, const Args& args) {
  if (args.heads == 0 || args.kv_heads == 0 || args.heads % args.kv_heads != 0) {
    check.invalid("%" PRIu32 " heads cannot share %" PRIu32, args.heads, args.kv_heads);
    return;
  }
  if (args.products < Products::chains || args.products > Products::rounded) {
    check.invalid("products %d are unknown", static_cast<int>(args.products));
  }
  if (args.q.cols % args.heads != 0) {
    check.invalid("q.cols is %" PRIu64 ", not %" PRIu32 " heads", args.q.cols, args.heads);
  }
  if (args.q.rows > args.k.rows) {
    check.invalid("there are %" PRIu64 " queries, but %" PRIu64 " keys", args.q.rows, args.k.rows);
  }
  const std::uint64_t kv_cols = args.q.cols / args.heads * args.kv_heads;
  VOLT_SHAPED(k, args.k.rows, kv_cols);
  VOLT_SHAPED(v, args.k.rows, kv_cols);
  VOLT_SHAPED(first, args.k.rows, 1);
  VOLT_SHAPED(out, args.q.rows, args.q.cols);
  VOLT_SHAPED(m, args.q.rows, args.heads);
  VOLT_SHAPED(l, args.q.rows, args.heads);
}

Status attention(Context* context, const Attention<Given>& args) {
  Check check;
  check_attention(check, args);
  const Attention<Checked> job = {
      VOLT_IN(q),   VOLT_IN(k),
      VOLT_IN(v),   check.view<const std::uint32_t>("first", args.first),
      args.heads,   args.kv_heads,
      args.scale,   VOLT_OUT(out),
      VOLT_OUT(m),  VOLT_OUT(l),
      args.products};
  apart(check, "out", job.out, job.q, job.k, job.v, job.first, job.m, job.l);
  apart(check, "m", job.m, job.q, job.k, job.v, job.first, job.l);
  apart(check, "l", job.l, job.q, job.k, job.v, job.first);
  return perform(context, check, &NetworkEngine::attention, job, empty(args.q));
}

Status attention_backward(Context* context, const AttentionBackward<Given>& args) {
  Check check;
  check_attention(check, args);
  VOLT_SHAPED(dout, args.q.rows, args.q.cols);
  VOLT_SHAPED(dq, args.q.rows, args.q.cols);
  VOLT_SHAPED(dk, args.k.rows, args.k.cols);
  VOLT_SHAPED(dv, args.k.rows, args.k.cols);
  const AttentionBackward<Checked> job = {
      VOLT_IN(q),    VOLT_IN(k),
      VOLT_IN(v),    check.view<const std::uint32_t>("first", args.first),
      args.heads,    args.kv_heads,
      args.scale,    VOLT_IN(out),
      VOLT_IN(m),    VOLT_IN(l),
      VOLT_IN(dout), VOLT_OUT(dq),
      VOLT_OUT(dk),  VOLT_OUT(dv),
      args.products};
  const auto inputs_apart = [&](const char* what, const View<float>& result) {
    apart(check, what, result, job.q, job.k, job.v, job.first, job.out, job.m, job.l, job.dout);
  };
  inputs_apart("dq", job.dq);
  inputs_apart("dk", job.dk);
  inputs_apart("dv", job.dv);
  apart(check, "dq", job.dq, job.dk, job.dv);
  apart(check, "dk", job.dk, job.dv);
  return perform(context, check, &NetworkEngine::attention_backward, job, empty(args.q));
}

void check_activation(Check& check, const ActivationOf& f) {
  if (f.kind < Activation::silu || f.kind > Activation::era) {
    check.invalid("activation %d is unknown", static_cast<int>(f.kind));
  } else if (f.kind == Activation::era && !(f.temperature > 0 && std::isfinite(f.temperature))) {
    check.invalid("the temperature of era is not above 0");
  }
}

Status activate(Context* context, const Activate<Given>& args) {
  Check check;
  check_activation(check, args.f);
  if (!absent(args.u)) VOLT_SHAPED(u, args.x.rows, args.x.cols);
  VOLT_SHAPED(out, args.x.rows, args.x.cols);
  const Activate<Checked> job = {args.f, VOLT_IN(x), VOLT_IN(u), VOLT_OUT(out)};
  apart(check, "out", job.out, job.x, job.u);
  return perform(context, check, &NetworkEngine::activate, job, empty(args.x));
}

Status activate_backward(Context* context, const ActivateBackward<Given>& args) {
  Check check;
  check_activation(check, args.f);
  if (absent(args.u) != absent(args.du)) check.invalid("u and du come together");
  if (!absent(args.u)) {
    VOLT_SHAPED(u, args.x.rows, args.x.cols);
    VOLT_SHAPED(du, args.x.rows, args.x.cols);
  }
  VOLT_SHAPED(dout, args.x.rows, args.x.cols);
  VOLT_SHAPED(dx, args.x.rows, args.x.cols);
  const ActivateBackward<Checked> job = {args.f,        VOLT_IN(x),   VOLT_IN(u),
                                         VOLT_IN(dout), VOLT_OUT(dx), VOLT_OUT(du)};
  apart_or_same(check, "dx", job.dx, job.x);
  apart(check, "dx", job.dx, job.u, job.dout, job.du);
  apart_or_same(check, "du", job.du, job.u);
  apart(check, "du", job.du, job.x, job.dout);
  return perform(context, check, &NetworkEngine::activate_backward, job, empty(args.x));
}

Status cross_entropy(Context* context, const CrossEntropy<Given>& args) {
  Check check;
  VOLT_SHAPED(targets, args.logits.rows, 1);
  VOLT_SHAPED(told, args.logits.rows, 3);
  const CrossEntropy<Checked> job = {
      VOLT_OUT(logits), check.view<const std::uint32_t>("targets", args.targets), VOLT_OUT(told)};
  apart(check, "logits", job.logits, job.targets, job.told);
  apart(check, "told", job.told, job.targets);
  return perform(context, check, &NetworkEngine::cross_entropy, job, empty(args.logits));
}

Status draw(Context* context, const Draw<Given>& args) {
  Check check;
  if (!(args.temperature >= 0 && std::isfinite(args.temperature))) {
    check.invalid("a temperature of %g is not a number from 0 on", args.temperature);
  }
  if (!(args.top_p > 0 && args.top_p <= 1)) {
    check.invalid("top_p of %g is not in (0, 1]", args.top_p);
  }
  if (args.logits.cols > no_token) {
    check.invalid("logits.cols is %" PRIu64 ", more than words count", args.logits.cols);
  }
  std::uint64_t end = 0;
  if (__builtin_add_overflow(args.first, args.logits.rows, &end)) {
    check.invalid("draw: %" PRIu64 " and %" PRIu64 " rows overflow 64 bits", args.first,
                  args.logits.rows);
  }
  VOLT_SHAPED(tokens, args.logits.rows, 1);
  const Draw<Checked> job = {VOLT_IN(logits),
                             args.temperature,
                             args.top_p,
                             args.seed,
                             args.first,
                             args.stream,
                             check.view<std::uint32_t>("tokens", args.tokens)};
  apart(check, "tokens", job.tokens, job.logits);
  return perform(context, check, &NetworkEngine::draw, job, empty(args.logits));
}

Status add(Context* context, const Add<Given>& args) {
  Check check;
  VOLT_SHAPED(x, args.x.rows == 1 ? 1 : args.y.rows, args.y.cols);
  const Add<Checked> job = {VOLT_IN(x), VOLT_OUT(y)};
  apart(check, "y", job.y, job.x);
  return perform(context, check, &NetworkEngine::add, job, empty(args.y));
}

Status sum_rows(Context* context, const SumRows<Given>& args) {
  Check check;
  VOLT_SHAPED(y, 1, args.x.cols);
  const SumRows<Checked> job = {VOLT_IN(x), VOLT_OUT(y)};
  apart(check, "y", job.y, job.x);
  return perform(context, check, &NetworkEngine::sum_rows, job, empty(args.x));
}

Status narrow(Context* context, const Narrow<Given>& args) {
  Check check;
  VOLT_SHAPED(y, args.x.rows, args.x.cols);
  const Narrow<Checked> job = {VOLT_IN(x), check.view<std::uint16_t>("y", args.y)};
  apart(check, "y", job.y, job.x);
  return perform(context, check, &NetworkEngine::narrow, job, empty(args.x));
}

Status scale(Context* context, const Scale<Given>& args) {
  Check check;
  const Scale<Checked> job = {VOLT_OUT(x), args.factor};
  return perform(context, check, &NetworkEngine::scale, job, empty(args.x));
}

Status zero(Context* context, const Zero<Given>& args) {
  Check check;
  const Zero<Checked> job = {VOLT_OUT(x)};
  return perform(context, check, &NetworkEngine::zero, job, empty(args.x));
}

Status scatter_rows(Context* context, const ScatterRows<Given>& args) {
  Check check;
  VOLT_SHAPED(ids, args.dx.rows, 1);
  check.equal("dtable.cols", args.dtable.cols, "dx.cols", args.dx.cols);
  const ScatterRows<Checked> job = {check.view<const std::uint32_t>("ids", args.ids), VOLT_IN(dx),
                                    VOLT_OUT(dtable)};
  apart(check, "dtable", job.dtable, job.ids, job.dx);
  return perform(context, check, &NetworkEngine::scatter_rows, job, empty(args.dx));
}

Status dropout(Context* context, const Dropout<Given>& args) {
  Check check;
  if (!(args.p >= 0 && args.p < 1)) check.invalid("dropout of %g is not in [0, 1)", args.p);
  VOLT_SHAPED(y, args.x.rows, args.x.cols);
  std::uint64_t elements = 0, end = 0;
  if (__builtin_mul_overflow(args.x.rows, args.x.cols, &elements) ||
      __builtin_add_overflow(args.first, elements, &end)) {
    check.invalid("dropout: %" PRIu64 " and %" PRIu64 " rows of %" PRIu64 " overflow 64 bits",
                  args.first, args.x.rows, args.x.cols);
  }
  const Dropout<Checked> job = {VOLT_IN(x), VOLT_OUT(y), args.p,
                                args.seed,  args.first,  args.stream};
  apart(check, "y", job.y, job.x);
  return perform(context, check, &NetworkEngine::dropout, job, empty(args.x));
}

Status keep_largest(Context* context, const KeepLargest<Given>& args) {
  Check check;
  VOLT_SHAPED(d, 1, args.y.cols);
  VOLT_SHAPED(x, args.y.rows, args.y.cols);
  VOLT_SHAPED(out, args.y.rows, args.y.cols);
  if (!absent(args.counts)) VOLT_SHAPED(counts, 1, args.y.cols);
  if (args.active < 1 || args.active > args.y.cols) {
    check.invalid("active is %" PRIu64 ", not one of %" PRIu64 " columns", args.active,
                  args.y.cols);
  }
  const KeepLargest<Checked> job = {
      VOLT_IN(y), VOLT_IN(d),    args.active,
      VOLT_IN(x), VOLT_OUT(out), check.view<std::uint32_t>("counts", args.counts)};
  apart(check, "out", job.out, job.y, job.d, job.x, job.counts);
  apart(check, "counts", job.counts, job.y, job.d, job.x);
  return perform(context, check, &NetworkEngine::keep_largest, job, empty(args.y));
}

std::uint64_t groups_of(std::uint64_t extent) { return (extent + group - 1) / group; }

Status rotate(Context* context, const Rotate<Given>& args) {
  Check check;
  check.equal("y.rows", args.y.rows, "x.rows", args.x.rows);
  check.equal("the groups of y", groups_of(args.y.cols), "those of x", groups_of(args.x.cols));
  const Rotate<Checked> job = {VOLT_IN(x), VOLT_OUT(y), args.factor, args.back};
  apart_or_same(check, "y", job.y, job.x);
  return perform(context, check, &NetworkEngine::rotate, job, empty(args.x) || empty(args.y));
}

Status quantise_rotated(Context* context, const QuantiseRotated<Given>& args) {
  Check check;
  const std::uint64_t down = groups_of(args.x.rows), across = groups_of(args.x.cols);
  VOLT_SHAPED(q, down * group, across * group);
  VOLT_SHAPED(by_rows, down * group, across);
  VOLT_SHAPED(by_columns, down, across * group);
  const QuantiseRotated<Checked> job = {VOLT_IN(x), args.down_first,
                                        check.view<std::int8_t>("q", args.q), VOLT_OUT(by_rows),
                                        VOLT_OUT(by_columns)};
  apart(check, "q", job.q, job.x, job.by_rows, job.by_columns);
  apart(check, "by_rows", job.by_rows, job.x, job.by_columns);
  apart(check, "by_columns", job.by_columns, job.x);
  return perform(context, check, &NetworkEngine::quantise_rotated, job, empty(args.x));
}

Status expand_nf4(Context* context, const ExpandNf4<Given>& args) {
  Check check;
  const View<float> y = VOLT_OUT(y);
  if (check.failed()) return check.status();  // else its elements can be counted
  const std::uint64_t elements = y.rows * y.cols;
  const std::uint64_t blocks = elements / nf4_block + (elements % nf4_block != 0 ? 1 : 0);
  std::uint64_t end = 0;
  if (__builtin_add_overflow(args.first, blocks, &end)) {
    check.invalid("block %" PRIu64 " and %" PRIu64 " blocks overflow 64 bits", args.first, blocks);
  }
  VOLT_SHAPED(nibbles, 1, elements / 2 + elements % 2);
  VOLT_SHAPED(codes, 1, blocks);
  VOLT_SHAPED(scales, 1, end / nf4_group + (end % nf4_group != 0 ? 1 : 0));
  const ExpandNf4<Checked> job = {y,
                                  check.view<const std::uint8_t>("nibbles", args.nibbles),
                                  check.view<const std::uint8_t>("codes", args.codes),
                                  VOLT_IN(scales),
                                  args.offset,
                                  args.first};
  apart(check, "y", job.y, job.nibbles, job.codes, job.scales);
  return perform(context, check, &NetworkEngine::expand_nf4, job, elements == 0);
}

Status adam(Context* context, const Adam<Given>& args) {
  Check check;
  VOLT_SHAPED(m, args.p.rows, args.p.cols);
  VOLT_SHAPED(v, args.p.rows, args.p.cols);
  VOLT_SHAPED(g, args.p.rows, args.p.cols);
  const Adam<Checked> job = {VOLT_OUT(p), VOLT_OUT(m),      VOLT_OUT(v),      VOLT_IN(g),
                             args.rate,   args.beta1,       args.beta2,       args.epsilon,
                             args.decay,  args.correction1, args.correction2, args.factor};
  apart(check, "p", job.p, job.m, job.v, job.g);
  apart(check, "m", job.m, job.v, job.g);
  apart(check, "v", job.v, job.g);
  return perform(context, check, &NetworkEngine::adam, job, empty(args.p));
}

Status square_sum(Context* context, const Matrix& x, float* result) {
  Check check;
  const View<const float> view = check.view<const float>("x", x);
  *result = 0.0f;
  if (check.failed() || empty(x)) return check.status();
  Turn turn(*context);
  *result = context->engine.network->square_sum(*context, view);
  return turn.end();
}

}  // namespace

constinit const Network network_operations = {
    rms_norm,
    rms_norm_backward,
    layer_norm,
    layer_norm_backward,
    rope,
    attention,
    attention_backward,
    activate,
    activate_backward,
    cross_entropy,
    draw,
    add,
    sum_rows,
    narrow,
    scale,
    zero,
    scatter_rows,
    dropout,
    keep_largest,
    rotate,
    quantise_rotated,
    expand_nf4,
    adam,
    square_sum,
};

}  // namespace volt::kernels
