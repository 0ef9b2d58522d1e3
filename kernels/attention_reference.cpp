// SPDX-License-Identifier: Apache-2.0

// The gold standard of attention: its definition as the plainest loops, for both ways of
// multiplying.

#include <algorithm>
#include <limits>
#include <vector>

#include "attention_rounded.hpp"
#include "network_reference.hpp"

namespace volt::kernels {
namespace {

// Of `count` elements, as one group; returns its scale.
float quantise_group(const float* x, std::uint64_t count, Limbs* limbs) {
  std::uint32_t amax = 0;
  for (std::uint64_t i = 0; i < count; ++i) amax = std::max(amax, magnitude_bits(x[i]));
  const GroupScale scale = group_scale(amax, most_limbs);
  for (std::uint64_t i = 0; i < count; ++i) limbs[i] = limbs_of(quantise_whole(x[i], scale));
  return scale.scale;
}

// The sums of limbs of up to 128 products.
struct Sums {
  void add(Limbs a, Limbs b) {
    hh += a.high * b.high;
    hl += a.high * b.low + a.low * b.high;
    ll += a.low * b.low;
  }
  float value() const { return limbs_sum(hh, hl, ll); }
  std::int32_t hh = 0, hl = 0, ll = 0;
};

// One head of a matrix, in limbs where products are of these.
struct Head {
  Head(const View<const float>& x, std::uint64_t index, std::uint64_t columns, Products products)
      : d(columns), first(x.data + index * d), stride(x.stride) {
    if (products == Products::chains) return;
    limbs.resize(x.rows * d);
    for (std::uint64_t i = 0; i < x.rows; ++i) {
      scales.push_back(quantise_group(row(i), d, &limbs[i * d]));
    }
  }
  const float* row(std::uint64_t i) const { return first + i * stride; }

  std::uint64_t d;
  const float* first;
  std::uint64_t stride;
  std::vector<Limbs> limbs;   // [rows, d]; none where products are chains
  std::vector<float> scales;  // of each row
};

// The product over columns of row i of a with row j of b.
float over_columns(const Head& a, std::uint64_t i, const Head& b, std::uint64_t j) {
  float acc = 0.0f;
  if (a.limbs.empty()) {
    for (std::uint64_t c = 0; c < a.d; ++c) acc = fused(a.row(i)[c], b.row(j)[c], acc);
    return acc;
  }
  for (std::uint64_t first = 0; first < a.d; first += group) {
    Sums sums;
    for (std::uint64_t c = first; c < std::min(first + group, a.d); ++c) {
      sums.add(a.limbs[i * a.d + c], b.limbs[j * b.d + c]);
    }
    acc = fused(sums.value(), a.scales[i] * b.scales[j], acc);
  }
  return acc;
}

// Rows of a sample as they are weighted: those before `seen` are not seen.
struct Weights {
  std::vector<float> of;
  std::uint64_t seen = 0;
};

// to[column] += the product over rows of weights with x, whose row `first` is the sample's first.
// Below `seen` there may be no rows of x.
void add_over_rows(const Weights& weights, const Head& x, std::uint64_t first, float* to) {
  const std::uint64_t count = weights.of.size();
  if (x.limbs.empty()) {
    for (std::uint64_t i = weights.seen; i < count; ++i) {
      for (std::uint64_t c = 0; c < x.d; ++c) {
        to[c] = canonical(fused(weights.of[i], x.row(first + i)[c], to[c]));
      }
    }
    return;
  }
  std::vector<float> acc(x.d, 0.0f);
  for (std::uint64_t begin = 0; begin < count; begin += group) {
    const std::uint64_t end = std::min(begin + group, count);
    const std::uint64_t seen = std::clamp(weights.seen, begin, end);
    float w[group] = {};
    Limbs limbs[group];
    for (std::uint64_t i = seen; i < end; ++i) {
      w[i - begin] = weights.of[i] * x.scales[first + i];
    }
    const float scale = quantise_group(w, end - begin, limbs);
    for (std::uint64_t c = 0; c < x.d; ++c) {
      Sums sums;
      for (std::uint64_t i = seen; i < end; ++i) {
        sums.add(limbs[i - begin], x.limbs[(first + i) * x.d + c]);
      }
      acc[c] = fused(sums.value(), scale, acc[c]);
    }
  }
  for (std::uint64_t c = 0; c < x.d; ++c) to[c] = canonical(to[c] + acc[c]);
}

// The queries of one head with the keys and values that they share.
template <class Job>
struct Queries {
  Queries(const Job& job, std::uint64_t head)
      : d(job.q.cols / job.heads),
        of_kv(head / (job.heads / job.kv_heads)),
        before(job.k.rows - job.q.rows),
        q(job.q, head, d, job.products),
        k(job.k, of_kv, d, job.products),
        v(job.v, of_kv, d, job.products),
        first(job.first),
        scale(job.scale) {}

  // The row of k where the sample of k's row `at` begins.
  std::uint64_t first_of(std::uint64_t at) const { return *row(first, at); }
  // s of row i of q with the keys that it sees.
  std::vector<float> scores(std::uint64_t i) const {
    std::vector<float> s;
    for (std::uint64_t key = first_of(before + i); key <= before + i; ++key) {
      s.push_back(over_columns(q, i, k, key) * scale);
    }
    return s;
  }

  std::uint64_t d, of_kv;
  std::uint64_t before;  // rows of k that are no queries
  Head q, k, v;
  View<const std::uint32_t> first;
  float scale;
};

}  // namespace

bool reference_attention(Context& context, const Attention<Checked>& job) {
  if (job.products == Products::rounded) return attend_rounded(context, job, reference_attention);
  for (std::uint64_t head = 0; head < job.heads; ++head) {
    const Queries queries(job, head);
    for (std::uint64_t i = 0; i < job.q.rows; ++i) {
      Weights e = {queries.scores(i)};
      float m = -std::numeric_limits<float>::infinity();
      for (const float s : e.of) m = largest(s, m);
      m = m + 0.0f;
      for (float& value : e.of) value = exp(value - m);
      const float l = sum(e.of.size(), [&](auto key, float acc) { return acc + e.of[key]; });
      row(job.m, i)[head] = m;
      row(job.l, i)[head] = canonical(l);
      float* const out = row(job.out, i) + head * queries.d;
      std::fill_n(out, queries.d, 0.0f);
      add_over_rows(e, queries.v, queries.first_of(queries.before + i), out);
      for (std::uint64_t c = 0; c < queries.d; ++c) {
        out[c] = canonical(fused_apart(out[c], 1.0f / l));
      }
    }
  }
  return true;
}

bool reference_attention_backward(Context& context, const AttentionBackward<Checked>& job) {
  if (job.products == Products::rounded) {
    return attend_rounded(context, job, reference_attention_backward);
  }
  for (std::uint64_t head = 0; head < job.heads; ++head) {
    const Queries queries(job, head);
    const std::uint64_t d = queries.d, before = queries.before;
    const Head dout(job.dout, head, d, job.products);
    // Of each query, by row of k.
    std::vector<std::vector<float>> p(job.q.rows), ds(job.q.rows);
    for (std::uint64_t i = 0; i < job.q.rows; ++i) {
      const std::uint64_t first = queries.first_of(before + i);
      const float* const out = row(job.out, i) + head * d;
      const float inverse = 1.0f / row(job.l, i)[head];
      const float t = sum(d, [&](auto c, float acc) { return fused(dout.row(i)[c], out[c], acc); });
      p[i].resize(first), ds[i].resize(first);
      Weights of_keys;
      for (const float s : queries.scores(i)) {
        p[i].push_back(exp(s - row(job.m, i)[head]) * inverse);
        const float dp = over_columns(dout, i, queries.v, ds[i].size());
        of_keys.of.push_back((p[i].back() * (dp - t)) * job.scale);
        ds[i].push_back(of_keys.of.back());
      }
      add_over_rows(of_keys, queries.k, first, row(job.dq, i) + head * d);
    }
    for (std::uint64_t key = 0; key < job.k.rows; ++key) {
      const std::uint64_t first = queries.first_of(key);
      Weights of_ds, of_p;
      of_ds.seen = of_p.seen = std::max(key, before) - first;
      of_ds.of.resize(of_ds.seen), of_p.of.resize(of_p.seen);
      for (std::uint64_t at = first + of_p.seen; at < job.k.rows && queries.first_of(at) == first;
           ++at) {
        of_ds.of.push_back(ds[at - before][key]);
        of_p.of.push_back(p[at - before][key]);
      }
      if (of_p.of.size() == of_p.seen) continue;  // no query sees it
      // Where the sample begins among the rows of q, below 0 where it has more rows before.
      const std::uint64_t begin = first - before;
      add_over_rows(of_ds, queries.q, begin, row(job.dk, key) + queries.of_kv * d);
      add_over_rows(of_p, dout, begin, row(job.dv, key) + queries.of_kv * d);
    }
  }
  return true;
}

}  // namespace volt::kernels
