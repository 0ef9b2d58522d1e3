// SPDX-License-Identifier: Apache-2.0

// The gold standard: every definition of the contract as the plainest loop, one element at a time.

#include <algorithm>

#include "exact.hpp"
#include "host.hpp"
#include "loops.hpp"
#include "network_engine.hpp"
#include "sha256_cpu.hpp"

namespace volt::kernels {
namespace {

// Element (i, p) of A and (p, j) of B as the form stores them; p counts along k.
template <class T>
T a_at(Form form, const View<const T>& a, std::uint64_t i, std::uint64_t p) {
  return k_is_rows_of_a(form) ? a.data[p * a.stride + i] : a.data[i * a.stride + p];
}

template <class T>
T b_at(Form form, const View<const T>& b, std::uint64_t p, std::uint64_t j) {
  return k_is_rows_of_b(form) ? b.data[p * b.stride + j] : b.data[j * b.stride + p];
}

// Calls element(i, j, C's element) for each that the form computes.
template <class Job, class Element>
void over_c(const Job& p, Element element) {
  for (std::uint64_t i = 0; i < p.m; ++i) {
    if (is_diagonal(p.form)) {
      element(i, i, p.c.data[i * p.c.stride]);
    } else {
      for (std::uint64_t j = 0; j < p.n; ++j) element(i, j, p.c.data[i * p.c.stride + j]);
    }
  }
}

void reference_fill_f32(Context&, float* to, const Stream& s) {
  for (std::uint64_t i = 0; i < s.count; ++i) {
    const std::uint64_t e = s.first + i;
    to[i] = word_to_f32(random_block(s.seed, s.stream, e / 4).word[e % 4]);
  }
}

void reference_fill_i8(Context&, std::int8_t* to, const Stream& s) {
  for (std::uint64_t i = 0; i < s.count; ++i) {
    const std::uint64_t e = s.first + i;
    const PhiloxBlock block = random_block(s.seed, s.stream, e / 16);
    to[i] = word_to_i8(block.word[e / 4 % 4], static_cast<unsigned>(e % 4));
  }
}

// Calls set(row, column, q) for each element of x.
template <class Job, class Set>
void quantise_groups(const Job& job, float most, Set set) {
  const bool along_cols = job.axis == Quantised::along_cols;
  for (std::uint64_t sr = 0; sr < job.scales.rows; ++sr) {
    for (std::uint64_t sc = 0; sc < job.scales.cols; ++sc) {
      const std::uint64_t row = along_cols ? sr : sr * group;
      const std::uint64_t col = along_cols ? sc * group : sc;
      const std::uint64_t row_end = along_cols ? row + 1 : std::min(row + group, job.x.rows);
      const std::uint64_t col_end = along_cols ? std::min(col + group, job.x.cols) : col + 1;
      std::uint32_t amax = 0;
      for (std::uint64_t r = row; r < row_end; ++r) {
        for (std::uint64_t c = col; c < col_end; ++c) {
          amax = std::max(amax, magnitude_bits(job.x.data[r * job.x.stride + c]));
        }
      }
      const GroupScale scale = group_scale(amax, most);
      job.scales.data[sr * job.scales.stride + sc] = scale.scale;
      for (std::uint64_t r = row; r < row_end; ++r) {
        for (std::uint64_t c = col; c < col_end; ++c) {
          set(r, c, quantise_whole(job.x.data[r * job.x.stride + c], scale));
        }
      }
    }
  }
}

void reference_quantise(Context&, const QuantiseJob& job) {
  quantise_groups(job, most_i8, [&](std::uint64_t r, std::uint64_t c, std::int32_t q) {
    job.q.data[r * job.q.stride + c] = static_cast<std::int8_t>(q);
  });
}

void reference_quantise_limbs(Context&, const QuantiseLimbsJob& job) {
  quantise_groups(job, most_limbs, [&](std::uint64_t r, std::uint64_t c, std::int32_t q) {
    const Limbs limbs = limbs_of(q);
    job.high.data[r * job.high.stride + c] = limbs.high;
    job.low.data[r * job.low.stride + c] = limbs.low;
  });
}

bool reference_f32x(Context&, const Product<float, float>& p) {
  over_c(p, [&](std::uint64_t i, std::uint64_t j, float& c) {
    float acc = c;
    for (std::uint64_t e = 0; e < p.k; ++e) {
      acc = fused(a_at(p.form, p.a, i, e), b_at(p.form, p.b, e, j), acc);
    }
    c = canonical(acc);
  });
  return true;
}

bool reference_bf16(Context&, const Product<std::uint16_t, float>& p) {
  over_c(p, [&](std::uint64_t i, std::uint64_t j, float& c) {
    float acc = c;
    for (std::uint64_t e = 0; e < p.k; ++e) {
      acc = fused(from_bf16(a_at(p.form, p.a, i, e)), from_bf16(b_at(p.form, p.b, e, j)), acc);
    }
    c = canonical(acc);
  });
  return true;
}

bool reference_i8(Context&, const Product<std::int8_t, std::int32_t>& p) {
  over_c(p, [&](std::uint64_t i, std::uint64_t j, std::int32_t& c) {
    std::int32_t sum = 0;
    for (std::uint64_t e = 0; e < p.k; ++e) {
      sum += a_at(p.form, p.a, i, e) * b_at(p.form, p.b, e, j);
    }
    c = static_cast<std::int32_t>(static_cast<std::uint32_t>(c) + static_cast<std::uint32_t>(sum));
  });
  return true;
}

bool reference_i8x(Context&, const QuantisedProduct& p) {
  over_c(p, [&](std::uint64_t i, std::uint64_t j, float& c) {
    float acc = c;
    for (std::uint64_t first = 0; first < p.k; first += group) {
      std::int32_t sum = 0;
      for (std::uint64_t e = first; e < std::min(first + group, p.k); ++e) {
        sum += a_at(p.form, p.a, i, e) * b_at(p.form, p.b, e, j);
      }
      acc = i8x_step(acc, sum, a_at(p.form, p.scales_a, i, first / group),
                     b_at(p.form, p.scales_b, first / group, j));
    }
    c = canonical(acc);
  });
  return true;
}

bool reference_i8x2(Context&, const LimbsProduct& p) {
  over_c(p, [&](std::uint64_t i, std::uint64_t j, float& c) {
    float acc = c;
    for (std::uint64_t first = 0; first < p.k; first += group) {
      std::int32_t hh = 0, hl = 0, ll = 0;
      for (std::uint64_t e = first; e < std::min(first + group, p.k); ++e) {
        const std::int32_t high_a = a_at(p.form, p.a, i, e), low_a = a_at(p.form, p.low_a, i, e);
        const std::int32_t high_b = b_at(p.form, p.b, e, j), low_b = b_at(p.form, p.low_b, e, j);
        hh += high_a * high_b;
        hl += high_a * low_b + low_a * high_b;
        ll += low_a * low_b;
      }
      const float scale =
          a_at(p.form, p.scales_a, i, first / group) * b_at(p.form, p.scales_b, first / group, j);
      acc = fused(limbs_sum(hh, hl, ll), scale, acc);
    }
    c = canonical(acc);
  });
  return true;
}

void reference_digests(Context&, const std::uint8_t* data, std::uint64_t bytes,
                       std::uint8_t* digests) {
  const std::uint8_t leaf = 0x00;
  for (std::uint64_t done = 0; done < bytes; done += page_bytes, digests += 32) {
    sha256(sha256_compress_scalar, &leaf, 1, data + done, std::min(page_bytes, bytes - done),
           digests);
  }
}

bool reference_weigh(Context&, const Weighing& job) {
  __extension__ using Wide = unsigned __int128;
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t v = 0; v < weight_vectors; ++v) {
      Wide sum = 0;
      for (std::uint64_t j = 0; j < job.x.cols; ++j) {
        const std::int64_t element = job.x.data[i * job.x.stride + j];
        sum += static_cast<Wide>(element) * job.weights.data[j * job.weights.stride + v];
      }
      std::uint64_t* const to = job.sums.data + i * job.sums.stride + 2 * v;
      to[0] = static_cast<std::uint64_t>(sum);
      to[1] = static_cast<std::uint64_t>(sum >> 64);
    }
  }
  return true;
}

// The one loop that is the same for all: without an instruction set of its own it is as plain.
void reference_map(Context&, const MapJob& job) {
  loops_baseline.map(job.function, job.x, job.y, 0, job.count);
}

template <class T>
void reference_select(Context&, const Selection<T>& s) {
  for (std::uint64_t r = 0; r < s.to.rows; ++r) {
    for (std::uint64_t c = 0; c < s.to.cols; ++c) {
      const std::uint64_t row = s.lines == Lines::rows ? s.index[r] : r;
      const std::uint64_t col = s.lines == Lines::rows ? c : s.index[c];
      s.to.data[r * s.to.stride + c] = s.from.data[row * s.from.stride + col];
    }
  }
}

Status open_reference(const Options& options, Context** context) {
  return open_context(reference_engine, options, 1, context);
}

}  // namespace

constinit const Engine reference_engine = {
    nullptr,
    reference_fill_f32,
    reference_fill_i8,
    reference_quantise,
    reference_quantise_limbs,
    reference_f32x,
    reference_i8,
    reference_i8x,
    reference_i8x2,
    reference_bf16,
    reference_weigh,
    reference_digests,
    reference_map,
    reference_select<std::uint32_t>,
    reference_select<std::uint8_t>,
    host_compare,
    &host_store,
    &network_reference,
};

const Backend& cpu_reference() {
  static const Backend table = make_backend("cpu-reference", open_reference, &network_operations);
  return table;
}

}  // namespace volt::kernels
