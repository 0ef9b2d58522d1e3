// SPDX-License-Identifier: Apache-2.0

// Operations of networks on elements, or on pairs or groups of neighbours.

#include "each_cuda.cuh"
#include "network_cuda.hpp"
#include "network_functions.hpp"
#include "words_cuda.cuh"

namespace volt::kernels {
inline namespace VOLT_ISA {
namespace {

struct Activated {
  struct Taken {
    float x, u;
  };
  VOLT_DEVICE Taken take(ElementAt at) const {
    return {element(job.x, at), job.u.data == nullptr ? 1.0f : element(job.u, at)};
  }
  VOLT_DEVICE void give(ElementAt at, Taken in) const {
    const float f = activation(job.f, in.x).value;
    element(job.out, at) = canonical(job.u.data == nullptr ? f : f * in.u);
  }
  Activate<Checked> job;
};

struct ActivatedBackward {
  struct Taken {
    float x, u, dout;
  };
  VOLT_DEVICE Taken take(ElementAt at) const {
    const float u = job.u.data == nullptr ? 1.0f : element(job.u, at);
    return {element(job.x, at), u, element(job.dout, at)};
  }
  VOLT_DEVICE void give(ElementAt at, Taken in) const {
    const Slope f = activation(job.f, in.x);
    if (job.u.data == nullptr) {
      element(job.dx, at) = canonical(in.dout * f.slope);
      return;
    }
    element(job.dx, at) = canonical((in.dout * in.u) * f.slope);
    element(job.du, at) = canonical(in.dout * f.value);
  }
  ActivateBackward<Checked> job;
};

struct Added {
  struct Taken {
    float x, y;
  };
  VOLT_DEVICE Taken take(ElementAt at) const {
    return {element(job.x, {job.x.rows == 1 ? 0 : at.row, at.col}), element(job.y, at)};
  }
  VOLT_DEVICE void give(ElementAt at, Taken in) const {
    element(job.y, at) = canonical(in.y + in.x);
  }
  Add<Checked> job;
};

struct Scaled {
  using Taken = float;
  VOLT_DEVICE float take(ElementAt at) const { return element(job.x, at); }
  VOLT_DEVICE void give(ElementAt at, float x) const {
    element(job.x, at) = canonical(x * job.factor);
  }
  Scale<Checked> job;
};

struct Narrowed {
  using Taken = float;
  VOLT_DEVICE float take(ElementAt at) const { return element(job.x, at); }
  VOLT_DEVICE void give(ElementAt at, float x) const { element(job.y, at) = to_bf16(x); }
  Narrow<Checked> job;
};

struct Rounded {
  using Taken = float;
  VOLT_DEVICE float take(ElementAt at) const { return element(x, at); }
  VOLT_DEVICE void give(ElementAt at, float value) const {
    element(y, at) = from_bf16(to_bf16(value));
  }
  View<const float> x;
  View<float> y;
};

struct Zeroed {
  struct Taken {};
  VOLT_DEVICE Taken take(ElementAt) const { return {}; }
  VOLT_DEVICE void give(ElementAt at, Taken) const { element(job.x, at) = 0.0f; }
  Zero<Checked> job;
};

struct Stepped {
  struct Taken {
    AdamState now;
    float gradient;
  };
  VOLT_DEVICE Taken take(ElementAt at) const {
    return {{element(p, at), element(m, at), element(v, at)}, element(g, at)};
  }
  VOLT_DEVICE void give(ElementAt at, const Taken& in) const {
    const AdamState next = adam_step(factors, in.now, in.gradient);
    element(p, at) = next.p;
    element(m, at) = next.m;
    element(v, at) = next.v;
  }
  View<float> p, m, v;
  View<const float> g;
  AdamFactors factors;
};

// A thread looks at all of its row: with the few columns that ranks are, at what its neighbours do.
struct KeptLargest {
  struct Taken {
    float x;
    bool kept;
  };
  VOLT_DEVICE std::uint32_t size_at(ElementAt at) const {
    return size_of(element(job.y, at), job.d.data[at.col]);
  }
  VOLT_DEVICE Taken take(ElementAt at) const {
    const std::uint32_t own = size_at(at);
    std::uint64_t larger = 0;
    for (std::uint64_t j = 0; j < job.y.cols; ++j) {
      larger += is_behind(own, at.col, size_at({at.row, j}), j);
    }
    return {element(job.x, at), larger < job.active};
  }
  VOLT_DEVICE void give(ElementAt at, const Taken& in) const {
    element(job.out, at) = in.kept ? canonical(in.x) : 0.0f;
    if (in.kept && job.counts.data != nullptr) atomic_add(job.counts.data + at.col, 1);
  }
  KeepLargest<Checked> job;
};

// `at` counts pairs: column c is pair c % half of head c / half.
struct Roped {
  struct Taken {
    float a, b;
    std::uint64_t phase;
  };
  VOLT_DEVICE float* pair(ElementAt at) const {
    return job.x.data + at.row * job.x.stride + at.col + at.col / half * half;
  }
  VOLT_DEVICE Taken take(ElementAt at) const {
    const float* const x = pair(at);
    return {x[0], x[half],
            job.positions.data[at.row * job.positions.stride] * job.turns.data[at.col % half]};
  }
  VOLT_DEVICE void give(ElementAt at, const Taken& in) const {
    const Turned turned = turn(in.a, in.b, angle_of(in.phase, job.backward));
    float* const x = pair(at);
    x[0] = turned.a;
    x[half] = turned.b;
  }
  Rope<Checked> job;
  std::uint32_t half;  // of a head's columns; `turns` has as many, and memory fewer than 2^32
};

// A thread has the elements of one Philox block.
struct Dropped {
  static constexpr unsigned threads = 256, resident = 4;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t index = std::uint64_t{block_index()} * threads + thread_index();
    const PhiloxBlock random = random_block(job.seed, job.stream, job.first / 4 + index);
    // Before the first element it wraps around, and is no less than the count.
    const std::uint64_t begin = index * 4 - job.first % 4;
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i) {
      if (begin + i >= run.count()) continue;
      const ElementAt at = run.at(begin + i);
      const float value = element(job.x, at) * kept;
      element(job.y, at) = keeps(random.word[i], job.p) ? canonical(value) : 0.0f;
    }
  }

  Dropout<Checked> job;
  Run run;
  float kept;
};

// A warp has a group, a thread four neighbours of it.
struct Rotated {
  static constexpr unsigned threads = 256, resident = 4;
  static constexpr std::uint32_t warps = threads / 32;
  struct Shared {};

  VOLT_DEVICE void operator()(Shared&) const {
    const std::uint64_t index = std::uint64_t{block_index()} * warps + thread_index() / 32;
    const std::uint64_t row = index / groups;
    if (row >= job.x.rows) return;
    const std::uint64_t first = index % groups * group + thread_index() % 32 * 4;
    float value[4];
    take(value, job.x.data + row * job.x.stride + first, job.x.cols, first);
    if (!job.back) sign(value);
    stage(value[0], value[1]);
    stage(value[2], value[3]);
    stage(value[0], value[2]);
    stage(value[1], value[3]);
    for (std::uint32_t mask = 1; mask < 32; mask *= 2) {
      const bool upper = (thread_index() & mask) != 0;
      VOLT_UNROLL
      for (float& own : value) {
        const float other = shuffle_xor(own, mask);
        own = upper ? other - own : own + other;
      }
    }
    VOLT_UNROLL
    for (float& own : value) own *= job.factor;
    if (job.back) sign(value);
    give(job.y.data + row * job.y.stride + first, value, job.y.cols, first);
  }

  VOLT_DEVICE static void sign(float (&value)[4]) {
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t j = thread_index() % 32 * 4 + i;
      value[i] = bits_float(float_bits(value[i]) ^ rotation_sign(j));
    }
  }

  VOLT_DEVICE static void stage(float& a, float& b) {
    const float sum = a + b;
    b = a - b;
    a = sum;
  }

  VOLT_DEVICE static void take(float (&to)[4], const float* from, std::uint64_t cols,
                               std::uint64_t first) {
    if (first + 4 <= cols && is_aligned(from, 16)) {
      const Words words = load_16(from);
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < 4; ++i) to[i] = bits_float(words.word[i]);
    } else {
      VOLT_UNROLL
      for (std::uint32_t i = 0; i < 4; ++i) to[i] = first + i < cols ? from[i] : 0.0f;
    }
  }

  VOLT_DEVICE void give(float* to, const float (&value)[4], std::uint64_t cols,
                        std::uint64_t first) const {
    Words words;
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i) {
      words.word[i] = float_bits(canonical(value[i]));
    }
    if (first + 4 <= cols && is_aligned(to, 16)) return store_16(to, words);
    VOLT_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i) {
      if (first + i < cols) to[i] = bits_float(words.word[i]);
    }
  }

  Rotate<Checked> job;
  std::uint64_t groups;  // of a row
};

}  // namespace

Status cuda_activate(CudaStream stream, const Activate<Checked>& job) {
  const Run run = job.u.data == nullptr ? run_of(job.x, job.out) : run_of(job.x, job.u, job.out);
  return each(stream, Activated{job}, run);
}

Status cuda_activate_backward(CudaStream stream, const ActivateBackward<Checked>& job) {
  const Run run = job.u.data == nullptr ? run_of(job.x, job.dout, job.dx)
                                        : run_of(job.x, job.dout, job.dx, job.u, job.du);
  return each(stream, ActivatedBackward{job}, run);
}

Status cuda_add(CudaStream stream, const Add<Checked>& job) {
  const bool apart = job.x.rows != job.y.rows;
  return each(stream, Added{job}, apart ? Run{job.y.rows, job.y.cols} : run_of(job.y, job.x));
}

Status cuda_narrow(CudaStream stream, const Narrow<Checked>& job) {
  return each(stream, Narrowed{job}, run_of(job.x, job.y));
}

Status cuda_round(CudaStream stream, const View<const float>& x, const View<float>& y) {
  return each(stream, Rounded{x, y}, run_of(x, y));
}

Status cuda_scale(CudaStream stream, const Scale<Checked>& job) {
  return each(stream, Scaled{job}, run_of(job.x));
}

Status cuda_zero(CudaStream stream, const Zero<Checked>& job) {
  return each(stream, Zeroed{job}, run_of(job.x));
}

Status cuda_adam(CudaStream stream, const Adam<Checked>& job) {
  return each(stream, Stepped{job.p, job.m, job.v, job.g, factors_of(job)},
              run_of(job.p, job.m, job.v, job.g));
}

Status cuda_rope(CudaStream stream, const Rope<Checked>& job) {
  const auto half = static_cast<std::uint32_t>(job.turns.cols);
  return each(stream, Roped{job, half}, Run{job.x.rows, job.x.cols / 2});
}

Status cuda_dropout(CudaStream stream, const Dropout<Checked>& job) {
  const Run run = run_of(job.x, job.y);
  const std::uint64_t count = run.rows * run.cols;
  const std::uint64_t blocks = (job.first % 4 + count - 1) / 4 + 1;
  return launch(stream, (blocks - 1) / Dropped::threads + 1,
                Dropped{job, run, 1.0f / (1.0f - job.p)});
}

Status cuda_keep_largest(CudaStream stream, const KeepLargest<Checked>& job) {
  return each(stream, KeptLargest{job}, Run{job.y.rows, job.y.cols});
}

Status cuda_rotate(CudaStream stream, const Rotate<Checked>& job) {
  const std::uint64_t groups = (job.x.cols - 1) / group + 1;
  return launch(stream, (job.x.rows * groups - 1) / Rotated::warps + 1, Rotated{job, groups});
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
