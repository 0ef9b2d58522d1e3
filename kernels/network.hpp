// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operands.hpp"

/// The operations of language models beside products, one more table of a Backend. Matrices are
/// fp32 unless a comment says otherwise; a row is a token, n the number of columns. What an
/// operation adds to, it reads first: several micro-batches make one longer chain.
///
/// Sections are those of the numerics contract. `sum` is its sum128 (section 3): lane l of 128 adds
/// elements l, l + 128, ... ascending, from +0, by fmaf where a product is summed; then lane l adds
/// lane l + 64, l + 32, ... l + 1. A `chain` is one fmaf (or, without a product, one +) after the
/// other, ascending, from what is there. Every arithmetic sign below is one rounding, in the order
/// of the parentheses. NaNs of results are 0x7fc00000. What words name (rows, targets) must be
/// there: that alone is not checked.
namespace volt::kernels {

/// How the arguments of an operation are given: by its caller, and to an engine once checked.
struct Given {
  using In = Matrix;
  using Out = Matrix;
  using Words = Matrix;   ///< uint32
  using Counts = Matrix;  ///< uint32, added to
  using Tokens = Matrix;  ///< uint32, written
  using Turns = Matrix;   ///< uint64, in units of 2^-64 turn
  using Bytes = Matrix;   ///< uint8
  using Quants = Matrix;  ///< int8, written
  using Halves = Matrix;  ///< bf16, written
};
struct Checked {
  using In = View<const float>;
  using Out = View<float>;
  using Words = View<const std::uint32_t>;
  using Counts = View<std::uint32_t>;
  using Tokens = View<std::uint32_t>;
  using Turns = View<const std::uint64_t>;
  using Bytes = View<const std::uint8_t>;
  using Quants = View<std::int8_t>;
  using Halves = View<std::uint16_t>;
};

constexpr std::uint32_t no_target = 0xffffffffu;
constexpr std::uint32_t no_token = 0xffffffffu;

/// y = (x * r) * w by heads with r = rsqrt(sum(x^2) / n + epsilon), which is kept. w is [1, n], and
/// a row of x has any number of heads of n columns: one, as a rule.
template <class T>
struct RmsNorm {
  typename T::In x, w;
  float epsilon;
  typename T::Out y, r;  ///< r is [rows, heads]
};

/// dx += fmaf(-x, c, g * r) with g = dy * w, c = ((r * r) * r) * (sum(g x) / n);
/// dw (absent: not wanted) is a chain over the rows, and in each over its heads,
/// fmaf(dy, x * r, dw).
template <class T>
struct RmsNormBackward {
  typename T::In x, w, r, dy;
  typename T::Out dx, dw;
};

/// y = fmaf(h, w, b) by rows with mean = sum(x) / n, h = (x - mean) * r,
/// r = rsqrt(sum((x - mean)^2) / n + epsilon); mean and r are kept, side by side in [rows, 2].
template <class T>
struct LayerNorm {
  typename T::In x, w, b;
  float epsilon;
  typename T::Out y, kept;
};

/// dx += r * fmaf(-h, s, g - t) with g = dy * w, s = sum(g h) / n, t = sum(g) / n; dw and db (both
/// absent: not wanted) are chains over the rows, fmaf(dy, h, dw) and db + dy.
template <class T>
struct LayerNormBackward {
  typename T::In x, w, kept, dy;
  typename T::Out dx, dw, db;
};

/// Turns pairs (i, i + d/2) of each head of d columns, in place, by phase = position * turns[i]
/// modulo 2^64: a' = fmaf(-b, s, a * c), b' = fmaf(a, s, b * c), c and s its cosine and sine;
/// `backward` turns the other way (-s). turns is [1, d/2], positions [rows, 1].
template <class T>
struct Rope {
  typename T::Out x;
  typename T::Words positions;
  typename T::Turns turns;
  bool backward;
};

/// How attention multiplies.
///
/// `chains`: what is called a product below is a chain from +0, or from what is there.
///
/// `limbs` (section 5): of each row of q, k, v and dout each head is quantised as one group of two
/// limbs, however wide; c is its scale, and v() what the sums of limbs over a group of a product
/// come to, as in matmul_i8x2. A product over the columns of a head: from +0, for groups of 128 of
/// them, ascending, acc = fmaf(v(), c c', acc). A product over rows of a sample, of weights with a
/// column: each weight times the row's c, or +0 where it is not seen, is quantised in groups of 128
/// rows, counted from the sample's first; from +0, for all groups, ascending,
/// acc = fmaf(v(), the scale of the weights, acc), and what is there becomes it + acc. A group of
/// which nothing is seen changes no bit.
///
/// `rounded`, of the profile `native` and not exact: q, k, v and dout are rounded to bf16 first. A
/// GPU leaves the rest to cuDNN where that has it, with m the logarithm of all e and l = 1 kept;
/// else products are chains.
enum class Products : std::int32_t { chains, limbs, rounded };

/// Causal attention (section 7). A row of q, k, v has heads of d columns side by side, q `heads` of
/// them, k and v `kv_heads`, a divisor; q's rows are the last of k's. Row i of k belongs to the
/// sample that begins with row first[i] of k, and sees its keys up to itself (the rows of a sample
/// lie one after the other):
/// s = product over columns (q k) * scale; m = max(s) + 0, e = exp(s - m), l = sum(e), its lane 0
/// the sample's first key; out = product over keys (e v), from +0, * (1 / l) + 0. m and l are kept,
/// [rows, heads].
template <class T>
struct Attention {
  typename T::In q, k, v;
  typename T::Words first;  ///< [rows of k, 1]
  std::uint32_t heads, kv_heads;
  float scale;
  typename T::Out out, m, l;
  Products products = Products::chains;
};

/// With p = exp(s - m) * (1 / l), t = sum(dout out) over a head's columns, dp = product over
/// columns (dout v), ds = (p * (dp - t)) * scale: dq is a product over keys (ds k); dk (ds q) and
/// dv (p dout) are products over the queries, for each head of the group in turn. All add to what
/// is there.
template <class T>
struct AttentionBackward {
  typename T::In q, k, v;
  typename T::Words first;
  std::uint32_t heads, kv_heads;
  float scale;
  typename T::In out, m, l, dout;
  typename T::Out dq, dk, dv;
  Products products = Products::chains;
};

/// silu(x) = x * s with s = sigmoid(x), its slope s * fmaf(x, 1 - s, 1).
/// gelu_tanh(x) = (0.5 x) * (1 + t), t = tanh(0x1.988454p-1 * fmaf(0x1.6e4e26p-5 * (x * x), x, x)),
/// its slope fmaf((0.5 x) * fmaf(-t, t, 1), 0x1.988454p-1 * fmaf(0x1.12ba9ep-3, x * x, 1),
/// 0.5 * (1 + t)).
/// era(x) = (x * s) * g with z = x / temperature, s = sigmoid(z), g = fmaf(lambda, H, 1) and the
/// entropy H = fmaf(|z|, 1 - sigmoid(|z|), log1p(exp(-|z|))); its slope, with d = s * (1 - s):
/// fmaf(s, g, (x * (d / temperature)) * fmaf(-(lambda * s), z, g)).
enum class Activation : std::int32_t { silu, gelu_tanh, era };

struct ActivationOf {
  Activation kind;
  float temperature, lambda;  ///< of era
};

/// out = f(x) * u, or f(x) where u is absent.
template <class T>
struct Activate {
  ActivationOf f;
  typename T::In x, u;
  typename T::Out out;
};

/// dx = (dout * u) * f'(x) and du = dout * f(x), or dx = dout * f'(x). Nothing is added to; dx may
/// be x itself, and du u.
template <class T>
struct ActivateBackward {
  ActivationOf f;
  typename T::In x, u, dout;
  typename T::Out dx, du;
};

/// Of each row of logits s with target t: loss = log(l) + (m - s[t]), with m = max(s) + 0,
/// e = exp(s - m), l = sum(e); confidence = 1 / l; entropy = fmaf(-h, 1 / l, log(l)), with
/// h = sum(e max(s - m, -128)): e is 0 long before that limit, by which a logit of -inf adds 0. The
/// logits become the loss's gradient: e * (1 / l), at t less 1. Where t is no_target, they and all
/// three become 0. `told` is [rows, 3].
template <class T>
struct CrossEntropy {
  typename T::Out logits;
  typename T::Words targets;  ///< [rows, 1]
  typename T::Out told;
};

/// The next token by each row of logits (section 7). Where temperature is 0 it is the one with the
/// largest logit, of equal ones the lowest; so too where m below is not finite. Else, with
/// z = logit / temperature and m the largest z: e = exp(z - m), p = e * (1 / sum(e)); tokens in the
/// order of p, largest first, of equal ones the lowest first, are taken until their p, added one by
/// one, reach top_p, in (0, 1]; and of them the first is drawn at which that sum exceeds u times
/// all of it. u is the upper 24 bits of word first + r of the stream (seed, stream), times 2^-24,
/// for row r. A logit that is NaN counts as p = 0 and is never drawn; where all are, the token is
/// no_token.
template <class T>
struct Draw {
  typename T::In logits;
  float temperature, top_p;
  std::uint64_t seed, first;
  std::uint32_t stream;
  typename T::Tokens tokens;  ///< [rows, 1]
};

/// y += x; x of one row is added to every row of y.
template <class T>
struct Add {
  typename T::In x;
  typename T::Out y;
};

/// y is a chain of the rows of x: y[1, n].
template <class T>
struct SumRows {
  typename T::In x;
  typename T::Out y;
};

/// y is x in bf16, to nearest, ties to even (exact.hpp).
template <class T>
struct Narrow {
  typename T::In x;
  typename T::Halves y;
};

/// x *= factor.
template <class T>
struct Scale {
  typename T::Out x;
  float factor;
};

/// x = +0.
template <class T>
struct Zero {
  typename T::Out x;
};

/// Row ids[i] of dtable += row i of dx, i ascending.
template <class T>
struct ScatterRows {
  typename T::Words ids;
  typename T::In dx;
  typename T::Out dtable;
};

/// y = x * (1 / (1 - p)) where element (r, c) is kept, else +0: where the upper 24 bits of word
/// first + r * n + c of the stream (seed, stream), times 2^-24, are at least p, in [0, 1).
template <class T>
struct Dropout {
  typename T::In x;
  typename T::Out y;
  float p;
  std::uint64_t seed, first;
  std::uint32_t stream;
};

/// out = x where |y + d| is one of the `active` largest of its row, else +0; d is [1, n]. NaN is
/// above all numbers, and of equal ones the first are the larger. counts (absent: not wanted),
/// [1, n], grow by the rows in which an element of the column is one. The work grows with n^2.
template <class T>
struct KeepLargest {
  typename T::In y, d;
  std::uint64_t active;  ///< 1 to n
  typename T::In x;
  typename T::Out out;
  typename T::Counts counts;
};

/// Each group of 128 columns takes the signs of rotation_sign(), goes through the unnormalised
/// Walsh-Hadamard butterflies, stages of distance 1, 2, 4, ... 64, each (a + b, a - b), and then
/// * factor; on its way `back` it takes the signs last. Columns that x has not are 0, those that y
/// has not are left out; both have as many groups. y may be x itself.
template <class T>
struct Rotate {
  typename T::In x;
  typename T::Out y;
  float factor;
  bool back;
};

/// A frozen matrix for i8x products (section 4): each block of 128 x 128 elements of x, filled up
/// with zeros, becomes 2^-14 * (its signs and butterflies, as those of Rotate, along the columns
/// and then down the rows; `down_first`: the other way round), and q those elements as `quantise`
/// makes them of one group. The scale of the block is that of each of its rows in by_rows, and of
/// each of its columns in by_columns: the scales of q grouped along the columns, and along the
/// rows. q is [R, C], the extents of x in whole groups of 128; by_rows is [R, C / 128], by_columns
/// [R / 128, C].
template <class T>
struct QuantiseRotated {
  typename T::In x;
  bool down_first;
  typename T::Quants q;
  typename T::Out by_rows, by_columns;
};

/// NF4 with double quantisation (arXiv 2305.14314), of which y has whole rows: element e of y, row
/// after row, has nibble e, the high one of its byte where e is even, and belongs to block e / 64:
/// y = nf4[nibble] * (map[codes[b]] * scales[(first + b) / 256] + offset). nf4 are the 16 values of
/// nf4_value(), map those of dynamic_value(). The block of y's first element is number `first` of
/// its matrix. nibbles are [1, elements / 2], codes [1, blocks], rounded up, and scales those of
/// the matrix up to y's last block.
template <class T>
struct ExpandNf4 {
  typename T::Out y;
  typename T::Bytes nibbles, codes;
  typename T::In scales;
  float offset;
  std::uint64_t first;
};

/// AdamW over elements: with d = g * factor, m' = fmaf(beta1, m, (1 - beta1) * d),
/// v' = fmaf(beta2, v, (1 - beta2) * (d * d)), w = fmaf(-(rate * decay), p, p):
/// p' = fmaf(-rate, (m' / correction1) / (sqrt(v' / correction2) + epsilon), w).
template <class T>
struct Adam {
  typename T::Out p, m, v;
  typename T::In g;
  float rate, beta1, beta2, epsilon, decay, correction1, correction2, factor;
};

constexpr std::uint64_t nf4_block = 64;   ///< elements that share a code
constexpr std::uint64_t nf4_group = 256;  ///< codes that share a scale

struct Network {
  Status (*rms_norm)(Context*, const RmsNorm<Given>&);
  Status (*rms_norm_backward)(Context*, const RmsNormBackward<Given>&);
  Status (*layer_norm)(Context*, const LayerNorm<Given>&);
  Status (*layer_norm_backward)(Context*, const LayerNormBackward<Given>&);
  Status (*rope)(Context*, const Rope<Given>&);
  Status (*attention)(Context*, const Attention<Given>&);
  Status (*attention_backward)(Context*, const AttentionBackward<Given>&);
  Status (*activate)(Context*, const Activate<Given>&);
  Status (*activate_backward)(Context*, const ActivateBackward<Given>&);
  Status (*cross_entropy)(Context*, const CrossEntropy<Given>&);
  Status (*draw)(Context*, const Draw<Given>&);
  Status (*add)(Context*, const Add<Given>&);
  Status (*sum_rows)(Context*, const SumRows<Given>&);
  Status (*narrow)(Context*, const Narrow<Given>&);
  Status (*scale)(Context*, const Scale<Given>&);
  Status (*zero)(Context*, const Zero<Given>&);
  Status (*scatter_rows)(Context*, const ScatterRows<Given>&);
  Status (*dropout)(Context*, const Dropout<Given>&);
  Status (*keep_largest)(Context*, const KeepLargest<Given>&);
  Status (*rotate)(Context*, const Rotate<Given>&);
  Status (*quantise_rotated)(Context*, const QuantiseRotated<Given>&);
  Status (*expand_nf4)(Context*, const ExpandNf4<Given>&);
  Status (*adam)(Context*, const Adam<Given>&);
  /// The sum of the squares of a matrix's elements, row after row. Waits for what was asked before.
  Status (*square_sum)(Context*, const Matrix& x, float* sum);
};

}  // namespace volt::kernels
