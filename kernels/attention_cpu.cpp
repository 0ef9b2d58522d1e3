// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules. Products
// are tiles of `tile_rows` chains by two vectors of them, as there; what a query does not see is
// never added, not even as a zero, which could change a -0 or meet an infinity.

#include "attention_cpu.hpp"

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
    const float* c = part.c + r * part.stride;
    float edge[vectors * lanes] = {};
    if (part.width != vectors * lanes) {
      __builtin_memcpy(edge, c, part.width * sizeof *c);
      c = edge;
    }
    for (int v = 0; v < vectors; ++v) sum[r][v] = load<Floats>(c + v * lanes);
  }
}

template <int rows, int vectors>
VOLT_VECTOR void store_part(const Floats (&sum)[rows][vectors], const Part& part) {
  for (int r = 0; r < rows; ++r) {
    float* const c = part.c + r * part.stride;
    float edge[vectors * lanes];
    float* const to = part.width == vectors * lanes ? c : edge;
    for (int v = 0; v < vectors; ++v) store(to + v * lanes, canonical(sum[r][v]));
    if (to == edge) __builtin_memcpy(c, edge, part.width * sizeof *c);
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

// ---- scores

/// Where scores go, and the largest of each row's, lane by lane.
struct Scores {
  float* to;
  std::uint64_t stride;
  Floats* most;
};

// to = factor * chain(a b) of rows of A with a tile of keys. Not inlined into the loop over tiles,
// of whose numbers gcc would keep some in the registers that are wanted here.
template <int rows>
__attribute__((noinline)) static void score(const float* a, std::uint64_t stride_a,
                                            const float* across, std::uint64_t d, float factor,
                                            const Scores& scores) {
  Floats sum[rows][2];
  for (auto& row : sum) row[0] = row[1] = Floats{};
  Direct<float> rows_a(a, stride_a * sizeof *a);
  steps(sum, rows_a, across, d);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < 2; ++v) {
      sum[r][v] = sum[r][v] * spread(factor);
      store(scores.to + r * scores.stride + v * lanes, sum[r][v]);
    }
    if (scores.most == nullptr) continue;
    scores.most[r] = largest(sum[r][1], largest(sum[r][0], scores.most[r]));
  }
}

// The same with every key that one of the queries sees, and maybe more; `most` is of the tiles that
// all of them see all of.
template <class Job>
static void score_all(const Queries<Job>& now, const float* a, std::uint64_t stride_a,
                      const float* across, float factor, Scores scores) {
  with_height<tile_rows>(now.rows, [&](auto height) {
    for (std::uint64_t key = 0; key < now.seen + now.rows - 1; key += tile_cols) {
      if (key + tile_cols > now.seen) scores.most = nullptr;
      score<height.value>(a, stride_a, across + key * now.d, now.d, factor, scores);
      scores.to += tile_cols;
    }
  });
}

// c += chain(weights down), query r over `seen` + r keys.
template <int rows, int vectors>
__attribute__((noinline)) static void gather(const float* weights, std::uint64_t stride,
                                             const float* down, std::uint64_t seen,
                                             const Part& part) {
  Floats sum[rows][vectors];
  load_part(sum, part);
  Direct<float> a(weights, stride * sizeof *weights);
  steps(sum, a, down, seen);
  for (int r = 1; r < rows; ++r) step(sum, a, down, r, rows);
  store_part(sum, part);
}

// ---- forward

void attend(const Attention<Checked>& job, const SampleHead& sample, std::uint64_t head,
            std::uint64_t row, std::uint64_t rows, float* scores, std::uint64_t stride) {
  const Queries now(job, sample.first, head, row, rows);
  float* const out = now.in(job.out);
  Floats most[tile_rows];
  for (Floats& one : most) one = spread(-__builtin_inff());
  score_all(now, now.in(job.q), job.q.stride, sample.k_across, job.scale, {scores, stride, most});
  // One loop after the other, so that rows overlap: each ends with what takes long.
  float m[tile_rows], l[tile_rows];
  for (std::uint64_t r = 0; r < rows; ++r) {
    m[r] =
        largest_score(scores + r * stride, now.seen / tile_cols * tile_cols, now.seen + r, most[r]);
  }
  for (std::uint64_t r = 0; r < rows; ++r) l[r] = soften(scores + r * stride, now.seen + r, m[r]);
  for (std::uint64_t r = 0; r < rows; ++r) {
    row_of(job.m, now.at + r)[head] = m[r];
    row_of(job.l, now.at + r)[head] = l[r];
    __builtin_memset(out + r * job.out.stride, 0, now.d * sizeof *out);
  }
  with_height<tile_rows>(rows, [&](auto height) {
    on_parts(out, job.out.stride, now.d, [&](auto vectors, std::uint64_t col, const Part& part) {
      gather<height.value, vectors.value>(scores, stride, sample.v_down + col * sample.keys,
                                          now.seen, part);
    });
  });
  for (std::uint64_t r = 0; r < rows; ++r) {
    const float inverse = 1.0f / l[r];
    float* const to = out + r * job.out.stride;
    for (std::uint64_t j = 0; j < now.d; ++j) to[j] = canonical(fused_apart(to[j], inverse));
  }
}

// ---- backward

void attend_queries(const AttentionBackward<Checked>& job, const SampleHead& sample,
                    const Stripe& stripe, std::uint64_t row, std::uint64_t rows) {
  const Queries now(job, sample.first, stripe.head, row, rows);
  float* const p = stripe.p + (row - stripe.begin) * stripe.stride;
  float* const ds = stripe.ds + (row - stripe.begin) * stripe.stride;
  const float* const dout = now.in(job.dout);
  score_all(now, now.in(job.q), job.q.stride, sample.k_across, job.scale,
            {p, stripe.stride, nullptr});
  score_all(now, dout, job.dout.stride, sample.v_across, 1.0f, {ds, stripe.stride, nullptr});
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
__attribute__((noinline)) static void scatter(Columns weights, const float* down,
                                              std::uint64_t seen, std::uint64_t count,
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
