// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules. Products
// are tiles of `tile_rows` chains by two vectors of them, as there; what a query does not see is
// never added, not even as a zero, which could change a -0 or meet an infinity.

#include "attention_cpu.hpp"

#include "network_functions.hpp"
#include "sum_cpu.hpp"
#include "tile_cpu.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

// ---- chains

/// A where its rows are columns of a matrix.
struct Columns {
  const float* a;
  std::uint64_t stride;
  VOLT_MEMBER float at(int row) const { return a[row]; }
  VOLT_MEMBER void next() { a += stride; }
};

// One step of the chains of rows [from, to).
template <int rows, int vectors, class A>
VOLT_VECTOR void step(Floats (&sum)[rows][vectors], A& a, const float*& b, int from, int to) {
  Floats y[vectors];
  for (int v = 0; v < vectors; ++v) y[v] = load<Floats>(b + v * lanes);
  for (int r = 0; r < rows; ++r) {
    if (r < from || r >= to) continue;
    const Floats x = spread(a.at(r));
    for (int v = 0; v < vectors; ++v) sum[r][v] = fused(x, y[v], sum[r][v]);
  }
  a.next();
  b += tile_cols;
}

template <int rows, int vectors, class A>
VOLT_VECTOR void steps(Floats (&sum)[rows][vectors], A& a, const float*& b, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) step(sum, a, b, 0, rows);
}

/// Part of C: `width` columns, of which a last vector may have a few.
struct Part {
  float* c;
  std::uint64_t stride, width;
};

template <int rows, int vectors>
VOLT_VECTOR void load_part(Floats (&sum)[rows][vectors], const Part& part) {
  for (int r = 0; r < rows; ++r) {
    const float* const c = part.c + r * part.stride;
    if (part.width == vectors * lanes) {
      for (int v = 0; v < vectors; ++v) sum[r][v] = load<Floats>(c + v * lanes);
    } else {
      __builtin_memset(sum[r], 0, sizeof sum[r]);
      __builtin_memcpy(sum[r], c, part.width * sizeof *c);
    }
  }
}

template <int rows, int vectors>
VOLT_VECTOR void store_part(Floats (&sum)[rows][vectors], const Part& part) {
  for (int r = 0; r < rows; ++r) {
    float* const c = part.c + r * part.stride;
    for (int v = 0; v < vectors; ++v) sum[r][v] = canonical(sum[r][v]);
    if (part.width == vectors * lanes) {
      for (int v = 0; v < vectors; ++v) store(c + v * lanes, sum[r][v]);
    } else {
      __builtin_memcpy(c, sum[r], part.width * sizeof *c);
    }
  }
}

// Calls run(vectors, col, part) for each part of `rows` rows of `cols` columns of C.
template <class Run>
VOLT_VECTOR void on_parts(float* c, std::uint64_t stride, std::uint64_t cols, Run run) {
  for (std::uint64_t col = 0; col < cols; col += tile_cols) {
    const Part part = {c + col, stride, least(cols - col, tile_cols)};
    if (part.width > lanes) {
      run(Constant<2>{}, col, part);
    } else {
      run(Constant<1>{}, col, part);
    }
  }
}

// ---- what queries have in common

template <class Job>
struct Queries {
  std::uint64_t d, head, row, rows;  // of k
  std::uint64_t seen;                // keys that the first of them sees; each later one a key more
  std::uint64_t at;                  // row of q
  Queries(const Job& job, const SampleHead& sample, std::uint64_t of, std::uint64_t begin,
          std::uint64_t count)
      : d(job.q.cols / job.heads),
        head(of),
        row(begin),
        rows(count),
        seen(begin - sample.first + 1),
        at(begin - (job.k.rows - job.q.rows)) {}
  template <class T>
  T* in(const View<T>& view) const {
    return row_of(view, at) + head * d;
  }
  std::uint64_t tiles() const { return (seen + rows - 1 + tile_cols - 1) / tile_cols; }
};

// scores = factor * chain(a b) of rows of A with each key, in whole tiles of keys.
template <int rows>
static void score(const float* a, std::uint64_t stride_a, const float* across, std::uint64_t d,
                  std::uint64_t tiles, float factor, float* scores, std::uint64_t stride) {
  for (std::uint64_t tile = 0; tile < tiles; ++tile) {
    Floats sum[rows][2] = {};
    Direct<float> rows_a(a, stride_a * sizeof *a);
    steps(sum, rows_a, across, d);
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < 2; ++v) {
        store(scores + r * stride + tile * tile_cols + v * lanes, sum[r][v] * spread(factor));
      }
    }
  }
}

// c += chain(weights down), query r over `seen` + r keys.
template <int rows, int vectors>
static void gather(const float* weights, std::uint64_t stride, const float* down,
                   std::uint64_t seen, const Part& part) {
  Floats sum[rows][vectors];
  load_part(sum, part);
  Direct<float> a(weights, stride * sizeof *weights);
  steps(sum, a, down, seen);
  for (int r = 1; r < rows; ++r) step(sum, a, down, r, rows);
  store_part(sum, part);
}

// ---- forward

// s becomes e, after it as much as fills a vector 0.
static void soften(float* s, std::uint64_t count, float& m, float& l) {
  constexpr float infinity = __builtin_inff();
  float most[lanes];
  for (float& value : most) value = -infinity;
  const std::uint64_t whole = (count + lanes - 1) / lanes * lanes;
  for (std::uint64_t i = count; i < whole; ++i) s[i] = -infinity;
  for (std::uint64_t i = 0; i < whole; i += lanes) {
    for (int j = 0; j < lanes; ++j) most[j] = largest(s[i + j], most[j]);
  }
  float largest_of_all = -infinity;
  for (const float value : most) largest_of_all = largest(value, largest_of_all);
  const float largest_score = largest_of_all + 0.0f;
  alignas(64) float lane[sum_lanes] = {};
  for (std::uint64_t i = 0; i < whole; i += lanes) {
    float* const to = lane + i % sum_lanes;
    for (int j = 0; j < lanes; ++j) {
      s[i + j] = exp(s[i + j] - largest_score);
      to[j] += s[i + j];
    }
  }
  m = largest_score;
  l = canonical(folded(lane));
}

void attend(const Attention<Checked>& job, const SampleHead& sample, std::uint64_t head,
            std::uint64_t row, std::uint64_t rows, float* scores) {
  const Queries now(job, sample, head, row, rows);
  const std::uint64_t stride = now.tiles() * tile_cols;
  float* const out = now.in(job.out);
  with_height<tile_rows>(rows, [&](auto height) {
    score<height.value>(now.in(job.q), job.q.stride, sample.k_across, now.d, now.tiles(), job.scale,
                        scores, stride);
  });
  for (std::uint64_t r = 0; r < rows; ++r) {
    soften(scores + r * stride, now.seen + r, row_of(job.m, now.at + r)[head],
           row_of(job.l, now.at + r)[head]);
    __builtin_memset(out + r * job.out.stride, 0, now.d * sizeof *out);
  }
  with_height<tile_rows>(rows, [&](auto height) {
    on_parts(out, job.out.stride, now.d, [&](auto vectors, std::uint64_t col, const Part& part) {
      gather<height.value, vectors.value>(scores, stride, sample.v_down + col * sample.keys,
                                          now.seen, part);
    });
  });
  for (std::uint64_t r = 0; r < rows; ++r) {
    const float inverse = 1.0f / row_of(job.l, now.at + r)[head];
    float* const to = out + r * job.out.stride;
    for (std::uint64_t j = 0; j < now.d; ++j) to[j] = canonical(fused_apart(to[j], inverse));
  }
}

// ---- backward

// Scores become p, and dp becomes ds.
static void slope(float* __restrict p, float* __restrict dp, std::uint64_t count, float m,
                  float inverse, float t, float scale) {
  for (std::uint64_t i = 0; i < count; i += lanes) {
    for (std::uint64_t j = i; j < i + lanes; ++j) {
      p[j] = exp(p[j] - m) * inverse;
      dp[j] = (p[j] * (dp[j] - t)) * scale;
    }
  }
}

void attend_queries(const AttentionBackward<Checked>& job, const SampleHead& sample,
                    const Stripe& stripe, std::uint64_t row, std::uint64_t rows) {
  const Queries now(job, sample, stripe.head, row, rows);
  float* const p = stripe.p + (row - stripe.begin) * stripe.stride;
  float* const ds = stripe.ds + (row - stripe.begin) * stripe.stride;
  const float* const dout = now.in(job.dout);
  with_height<tile_rows>(rows, [&](auto height) {
    score<height.value>(now.in(job.q), job.q.stride, sample.k_across, now.d, now.tiles(), job.scale,
                        p, stripe.stride);
    score<height.value>(dout, job.dout.stride, sample.v_across, now.d, now.tiles(), 1.0f, ds,
                        stripe.stride);
  });
  for (std::uint64_t r = 0; r < rows; ++r) {
    const float* const by = dout + r * job.dout.stride;
    const float* const out = now.in(job.out) + r * job.out.stride;
    const float t =
        sum_of(now.d, [&](std::uint64_t j, float lane) { return fused(by[j], out[j], lane); });
    slope(p + r * stripe.stride, ds + r * stripe.stride, now.seen + r,
          row_of(job.m, now.at + r)[now.head], 1.0f / row_of(job.l, now.at + r)[now.head], t,
          job.scale);
  }
  with_height<tile_rows>(rows, [&](auto height) {
    on_parts(now.in(job.dq), job.dq.stride, now.d,
             [&](auto vectors, std::uint64_t col, const Part& part) {
               gather<height.value, vectors.value>(
                   ds, stripe.stride, sample.k_down + col * sample.keys, now.seen, part);
             });
  });
}

// c += chain(weights down) of `rows` keys over `count` queries, of which the first sees `seen` of
// the keys and each later one a key more.
template <int rows, int vectors>
static void scatter(Columns weights, const float* down, std::uint64_t seen, std::uint64_t count,
                    const Part& part) {
  Floats sum[rows][vectors];
  load_part(sum, part);
  for (; seen < rows && count != 0; ++seen, --count) {
    step(sum, weights, down, 0, static_cast<int>(seen));
  }
  steps(sum, weights, down, count);
  store_part(sum, part);
}

void attend_keys(const AttentionBackward<Checked>& job, const SampleHead& sample,
                 const Stripe& stripe, std::uint64_t key, std::uint64_t rows) {
  const std::uint64_t d = job.q.cols / job.heads, row = sample.first + key;
  const std::uint64_t begin = row > stripe.begin ? row : stripe.begin;
  const std::uint64_t skipped = begin - stripe.begin, queries = stripe.end - stripe.begin;
  const auto add = [&](const View<float>& to, const float* weights, const float* packed) {
    with_height<tile_rows>(rows, [&](auto height) {
      on_parts(row_of(to, row) + sample.kv_head * d, to.stride, d,
               [&](auto vectors, std::uint64_t col, const Part& part) {
                 scatter<height.value, vectors.value>(
                     {weights + skipped * stripe.stride + key, stripe.stride},
                     packed + col * queries + skipped * tile_cols, begin - row + 1,
                     stripe.end - begin, part);
               });
    });
  };
  add(job.dk, stripe.ds, stripe.q);
  add(job.dv, stripe.p, stripe.dout);
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
