// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "network_loops.hpp"
#include "softmax_cpu.hpp"
#include "sum_cpu.hpp"

/// Attention, compiled once per instruction set. The contracts are those of the rows of
/// NetworkLoops with the same names.
namespace volt::kernels {
inline namespace VOLT_ISA {

void attend(const Attention<Checked>& job, const SampleHead& sample, std::uint64_t head,
            std::uint64_t row, std::uint64_t rows, float* scores, std::uint64_t stride);
void attend_queries(const AttentionBackward<Checked>& job, const SampleHead& sample,
                    const Stripe& stripe, std::uint64_t row, std::uint64_t rows);
void attend_keys(const AttentionBackward<Checked>& job, const SampleHead& sample,
                 const Stripe& stripe, std::uint64_t key, std::uint64_t rows);

void limbs_of_rows(const HeadLimbs& head, const float* x, std::uint64_t stride, std::uint64_t d,
                   std::uint64_t row, std::uint64_t rows);
void pack_across(const HeadLimbs& head, std::uint64_t d, std::uint64_t row, std::uint64_t count);
void pack_down(const HeadLimbs& head, std::uint64_t d, std::uint64_t row, std::uint64_t count);
void attend_limbs(const Attention<Checked>& job, const SampleLimbs& sample, const TileRoom& room,
                  std::uint64_t head, std::uint64_t row, std::uint64_t rows);
void attend_queries_limbs(const AttentionBackward<Checked>& job, const SampleLimbs& sample,
                          const LimbStripe& stripe, const TileRoom& room, std::uint64_t row,
                          std::uint64_t rows);
void attend_keys_limbs(const AttentionBackward<Checked>& job, const LimbStripe& stripe,
                       const TileRoom& room, std::uint64_t key, std::uint64_t rows);

// ---- what both ways of multiplying have in common

/// A tile of queries of one head.
template <class Job>
struct Queries {
  std::uint64_t d, head, row, rows;  // of k
  std::uint64_t seen;                // keys that the first of them sees; each later one a key more
  std::uint64_t at;                  // row of q
  Queries(const Job& job, std::uint64_t first, std::uint64_t of, std::uint64_t begin,
          std::uint64_t count)
      : d(job.q.cols / job.heads),
        head(of),
        row(begin),
        rows(count),
        seen(begin - first + 1),
        at(begin - (job.k.rows - job.q.rows)) {}
  template <class T>
  T* in(const View<T>& view) const {
    return row_of(view, at) + head * d;
  }
};

/// The largest of `count` scores, `most` being that of those before `from`. What fills the last
/// vector becomes -inf.
static inline float largest_score(float* s, std::uint64_t from, std::uint64_t count, Floats most) {
  for (std::uint64_t i = from; i < count; i += lanes) {
    Floats part = load<Floats>(s + i);
    const std::uint64_t left = count - i;
    if (left < lanes) {
      part = first_of(part, static_cast<std::int32_t>(left), -__builtin_inff());
      store(s + i, part);
    }
    most = largest(part, most);
  }
  return largest_of(most) + 0.0f;
}

/// s becomes e; returns l.
static inline float soften(float* s, std::uint64_t count, float m) {
  const Floats shift = spread(m);
  alignas(64) float lane[sum_lanes];
  clear(lane);
  for (std::uint64_t i = 0; i < count; i += lanes) {
    const Floats e = exp(load<Floats>(s + i) - shift);
    float* const to = lane + i % sum_lanes;
    store(s + i, e);
    store(to, load<Floats>(to) + e);
  }
  return canonical(folded(lane));
}

/// Scores become p, and dp becomes ds.
static inline void slope(float* p, float* dp, std::uint64_t count, float m, float inverse, float t,
                         float scale) {
  for (std::uint64_t i = 0; i < count; i += lanes) {
    const Floats e = exp(load<Floats>(p + i) - spread(m)) * spread(inverse);
    store(p + i, e);
    store(dp + i, (e * (load<Floats>(dp + i) - spread(t))) * spread(scale));
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
