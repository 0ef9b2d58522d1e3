// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA), like loops_cpu.cpp and under its rules. The
// functions have no branches: the compiler makes vectors of each loop over columns.

#include "elements_cpu.hpp"

#include "network_functions.hpp"
#include "quantise_cpu.hpp"
#include "sum_cpu.hpp"

// Before a loop whose rounds share no element, whatever its pointers may seem to.
#ifdef __clang__
#define VOLT_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define VOLT_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace volt::kernels {
inline namespace VOLT_ISA {

template <class Each>
static inline void on_rows(const Block& block, Each each) {
  for (std::uint64_t i = block.row; i < block.row + block.rows; ++i) each(i);
}

template <class T>
static inline T* part_of(const View<T>& view, std::uint64_t row, const Block& block) {
  return row_of(view, row) + block.col;
}

// ---- activations: the kind is a template argument, so that loops have no branch

template <Activation of>
struct Kind {
  ActivationOf f;
  __attribute__((always_inline)) Slope at(float x) const {
    return activation({of, f.temperature, f.lambda}, x);
  }
};

template <class Loop>
static inline void with_kind(const ActivationOf& f, Loop loop) {
  switch (f.kind) {
    case Activation::silu:
      return loop(Kind<Activation::silu>{f});
    case Activation::gelu_tanh:
      return loop(Kind<Activation::gelu_tanh>{f});
    case Activation::era:
      return loop(Kind<Activation::era>{f});
  }
}

void activate(const Activate<Checked>& job, const Block& block) {
  with_kind(job.f, [&](auto kind) {
    on_rows(block, [&](std::uint64_t i) {
      const float* __restrict const x = part_of(job.x, i, block);
      float* __restrict const out = part_of(job.out, i, block);
      if (job.u.data == nullptr) {
        for (std::uint64_t j = 0; j < block.cols; ++j) out[j] = canonical(kind.at(x[j]).value);
        return;
      }
      const float* __restrict const u = part_of(job.u, i, block);
      for (std::uint64_t j = 0; j < block.cols; ++j) {
        out[j] = canonical(kind.at(x[j]).value * u[j]);
      }
    });
  });
}

// dx may be x, and du u: never another element than the loop is at.
void activate_backward(const ActivateBackward<Checked>& job, const Block& block) {
  with_kind(job.f, [&](auto kind) {
    on_rows(block, [&](std::uint64_t i) {
      const float* const x = part_of(job.x, i, block);
      const float* const dout = part_of(job.dout, i, block);
      float* const dx = part_of(job.dx, i, block);
      if (job.u.data == nullptr) {
        VOLT_INDEPENDENT
        for (std::uint64_t j = 0; j < block.cols; ++j) {
          dx[j] = canonical(dout[j] * kind.at(x[j]).slope);
        }
        return;
      }
      const float* const u = part_of(job.u, i, block);
      float* const du = part_of(job.du, i, block);
      VOLT_INDEPENDENT
      for (std::uint64_t j = 0; j < block.cols; ++j) {
        const Slope f = kind.at(x[j]);
        dx[j] = canonical((dout[j] * u[j]) * f.slope);
        du[j] = canonical(dout[j] * f.value);
      }
    });
  });
}

// ---- sums and products

static void add_to(float* __restrict y, const float* __restrict x, std::uint64_t count) {
  for (std::uint64_t j = 0; j < count; ++j) y[j] = canonical(y[j] + x[j]);
}

void add(const Add<Checked>& job, const Block& block) {
  on_rows(block, [&](std::uint64_t i) {
    add_to(part_of(job.y, i, block), part_of(job.x, job.x.rows == 1 ? 0 : i, block), block.cols);
  });
}

void sum_rows(const SumRows<Checked>& job, const Block& block) {
  on_rows(block, [&](std::uint64_t i) {
    add_to(part_of(job.y, 0, block), part_of(job.x, i, block), block.cols);
  });
}

void scatter_rows(const ScatterRows<Checked>& job, const Block& block) {
  on_rows(block, [&](std::uint64_t i) {
    add_to(part_of(job.dtable, *row_of(job.ids, i), block), part_of(job.dx, i, block), block.cols);
  });
}

void scale(const Scale<Checked>& job, const Block& block) {
  on_rows(block, [&](std::uint64_t i) {
    float* const x = part_of(job.x, i, block);
    for (std::uint64_t j = 0; j < block.cols; ++j) x[j] = canonical(x[j] * job.factor);
  });
}

void dropout(const Dropout<Checked>& job, const Block& block) {
  const float kept = 1.0f / (1.0f - job.p);
  on_rows(block, [&](std::uint64_t i) {
    const float* __restrict const x = part_of(job.x, i, block);
    float* __restrict const y = part_of(job.y, i, block);
    std::uint32_t words[batch_words];
    for (std::uint64_t done = 0; done < block.cols;) {
      const std::uint64_t element = job.first + i * job.x.cols + block.col + done;
      const std::uint64_t skip = element % 4, left = block.cols - done;
      const std::uint64_t take = left < batch_words - skip ? left : batch_words - skip;
      random_words(words, job.seed, job.stream, element / 4);
      for (std::uint64_t j = 0; j < take; ++j) {
        const float value = canonical(x[done + j] * kept);
        y[done + j] = keeps(words[skip + j], job.p) ? value : 0.0f;
      }
      done += take;
    }
  });
}

// What a byte of NF4 stands for: two values, or a magnitude.
struct Nf4Tables {
  float pairs[256][2];
  float magnitudes[256];

  constexpr Nf4Tables() : pairs(), magnitudes() {
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      pairs[byte][0] = nf4_value(byte >> 4);
      pairs[byte][1] = nf4_value(byte & 15);
      magnitudes[byte] = dynamic_value(byte);
    }
  }
};
static constexpr Nf4Tables nf4_tables;

// A whole block.
static inline void expand_block(const std::uint8_t* nibbles, float absmax, float* y) {
  constexpr std::uint64_t bytes = nf4_block / 2;
  float values[nf4_block];
  for (std::uint64_t j = 0; j < bytes; ++j) {
    __builtin_memcpy(values + 2 * j, nf4_tables.pairs[nibbles[j]], sizeof nf4_tables.pairs[0]);
  }
  for (std::uint64_t j = 0; j < nf4_block; ++j) y[j] = canonical(values[j] * absmax);
}

void expand_nf4(const ExpandNf4<Checked>& job, const Block& block) {
  on_rows(block, [&](std::uint64_t i) {
    float* const y = row_of(job.y, i);
    const std::uint64_t first = i * job.y.cols, end = first + job.y.cols;
    for (std::uint64_t e = first; e < end;) {
      const std::uint64_t b = e / nf4_block, next = (b + 1) * nf4_block;
      const float absmax = nf4_absmax(nf4_tables.magnitudes[job.codes.data[b]],
                                      job.scales.data[(job.first + b) / nf4_group], job.offset);
      if (e % nf4_block == 0 && next <= end) {
        expand_block(job.nibbles.data + e / 2, absmax, y + (e - first));
        e = next;
        continue;
      }
      for (; e < (next < end ? next : end); ++e) {
        const float* const pair = nf4_tables.pairs[job.nibbles.data[e / 2]];
        y[e - first] = canonical(pair[e % 2] * absmax);
      }
    }
  });
}

// ---- the largest of a row: as many columns at a time as vectors hold

constexpr std::uint64_t batch_columns = 128;

// larger[i] says how many of the row are larger than column `first` + i.
static inline void count_larger(const float* y, const float* d, std::uint64_t n,
                                std::uint64_t first, std::uint64_t count,
                                std::uint32_t (&larger)[batch_columns]) {
  std::uint32_t size[batch_columns] = {};
  for (std::uint64_t i = 0; i < count; ++i) size[i] = size_of(y[first + i], d[first + i]);
  for (std::uint32_t& value : larger) value = 0;
  for (std::uint64_t j = 0; j < n; ++j) {
    const std::uint32_t other = size_of(y[j], d[j]);
    const std::uint64_t past = j < first ? 0 : j - first + 1;  // from there on, j comes first
    const auto behind = static_cast<std::uint32_t>(past < batch_columns ? past : batch_columns);
    for (std::uint32_t i = 0; i < batch_columns; ++i) {
      larger[i] += (other > size[i]) | ((other == size[i]) & (i >= behind));
    }
  }
}

void keep_largest(const KeepLargest<Checked>& job, const Block& block) {
  on_rows(block, [&](std::uint64_t row) {
    for (std::uint64_t done = 0; done < block.cols; done += batch_columns) {
      const std::uint64_t first = block.col + done, left = block.cols - done;
      const std::uint64_t count = left < batch_columns ? left : batch_columns;
      std::uint32_t larger[batch_columns];
      count_larger(row_of(job.y, row), job.d.data, job.y.cols, first, count, larger);
      const float* const x = row_of(job.x, row) + first;
      float* const out = row_of(job.out, row) + first;
      std::uint32_t* const counts = job.counts.data == nullptr ? nullptr : job.counts.data + first;
      for (std::uint64_t i = 0; i < count; ++i) {
        const bool kept = larger[i] < job.active;
        out[i] = kept ? canonical(x[i]) : 0.0f;
        if (counts != nullptr) counts[i] += kept;
      }
    }
  });
}

void adam(const Adam<Checked>& job, const Block& block) {
  const AdamFactors factors = factors_of(job);
  on_rows(block, [&](std::uint64_t i) {
    float* __restrict const p = part_of(job.p, i, block);
    float* __restrict const m = part_of(job.m, i, block);
    float* __restrict const v = part_of(job.v, i, block);
    const float* __restrict const g = part_of(job.g, i, block);
    for (std::uint64_t j = 0; j < block.cols; ++j) {
      const AdamState next = adam_step(factors, {p[j], m[j], v[j]}, g[j]);
      p[j] = next.p;
      m[j] = next.m;
      v[j] = next.v;
    }
  });
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
