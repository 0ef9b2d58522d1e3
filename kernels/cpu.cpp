// SPDX-License-Identifier: Apache-2.0

// The fast CPU backend: shares operations out among threads, and chooses the inner loops by
// instruction set.

#include <algorithm>
#include <vector>

#include "cpu.hpp"
#include "loops.hpp"
#include "network_cpu.hpp"
#include "sha256_cpu.hpp"
#include "variants.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace volt::kernels {

// The rows of Loops that are faster with AVX-512 IFMA.
namespace ifma {
void pack_weights(std::uint64_t* to, const std::uint64_t* weights, std::uint64_t stride,
                  std::uint64_t count);
void weigh_rows(const std::int32_t* x, std::uint64_t stride, const std::uint64_t* weights,
                std::uint64_t count, std::uint64_t* sums, std::uint64_t stride_sums,
                std::uint64_t rows);
}  // namespace ifma

namespace {

void cpu_fill_f32(Context& context, float* to, const Stream& s) {
  in_pieces(context, s.count, 1 << 14, s.count >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->fill_f32(to + first, count, s.seed, s.stream, s.first + first);
            });
}

void cpu_fill_i8(Context& context, std::int8_t* to, const Stream& s) {
  in_pieces(context, s.count, 1 << 16, s.count >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->fill_i8(to + first, count, s.seed, s.stream, s.first + first);
            });
}

void cpu_quantise(Context& context, const QuantiseJob& job) {
  const Loops& loops = *context.engine.loops;
  const View<const float>& x = job.x;
  const bool shared = x.rows * x.cols >= worth_sharing;
  if (job.axis == Quantised::along_cols) {
    const std::uint64_t rows = std::max<std::uint64_t>(1, (1 << 14) / x.cols);
    in_pieces(context, x.rows, rows, shared, [&](std::uint64_t first, std::uint64_t count) {
      for (std::uint64_t r = first; r < first + count; ++r) {
        loops.quantise_row(x.data + r * x.stride, x.cols, job.q.data + r * job.q.stride,
                           job.scales.data + r * job.scales.stride);
      }
    });
    return;
  }
  context.pool.each(job.scales.rows, shared, [&](std::uint64_t g) {
    const std::uint64_t row = g * group;
    loops.quantise_columns(x.data + row * x.stride, x.stride, std::min(group, x.rows - row), x.cols,
                           job.q.data + row * job.q.stride, job.q.stride,
                           job.scales.data + g * job.scales.stride);
  });
}

void cpu_quantise_limbs(Context& context, const QuantiseLimbsJob& job) {
  const Loops& loops = *context.engine.loops;
  const View<const float>& x = job.x;
  const bool shared = x.rows * x.cols >= worth_sharing;
  if (job.axis == Quantised::along_cols) {
    const std::uint64_t rows = std::max<std::uint64_t>(1, (1 << 14) / x.cols);
    in_pieces(context, x.rows, rows, shared, [&](std::uint64_t first, std::uint64_t count) {
      for (std::uint64_t r = first; r < first + count; ++r) {
        loops.quantise_limbs_row(
            x.data + r * x.stride, x.cols, group, job.high.data + r * job.high.stride,
            job.low.data + r * job.low.stride, job.scales.data + r * job.scales.stride);
      }
    });
    return;
  }
  context.pool.each(job.scales.rows, shared, [&](std::uint64_t g) {
    const std::uint64_t row = g * group;
    loops.quantise_limbs_columns(x.data + row * x.stride, x.stride, std::min(group, x.rows - row),
                                 x.cols, job.high.data + row * job.high.stride,
                                 job.low.data + row * job.low.stride, job.high.stride,
                                 job.low.stride, job.scales.data + g * job.scales.stride);
  });
}

bool cpu_weigh(Context& context, const Weighing& job) {
  __extension__ using Wide = unsigned __int128;
  constexpr std::uint64_t columns_at_a_time = 1 << 16, rows_at_a_time = 48;
  const Loops& loops = *context.engine.loops;
  const View<const std::int32_t>& x = job.x;
  const View<const std::uint64_t>& weights = job.weights;
  const std::uint64_t most = ceil_div(std::min(x.cols, columns_at_a_time), 16) * 16;
  const std::uint64_t bytes = most * weight_vectors * most_weight_parts * sizeof *weights.data;
  if (context.scratch.bytes() < bytes && !context.scratch.take(bytes)) return false;
  auto* const packed = reinterpret_cast<std::uint64_t*>(context.scratch.data());
  std::uint64_t start[2 * weight_vectors];  // -2^31 times each sum of weights
  for (std::uint64_t v = 0; v < weight_vectors; ++v) {
    Wide sum = 0;
    for (std::uint64_t j = 0; j < weights.rows; ++j) sum += weights.data[j * weights.stride + v];
    sum = -(sum << 31);
    start[2 * v] = static_cast<std::uint64_t>(sum);
    start[2 * v + 1] = static_cast<std::uint64_t>(sum >> 64);
  }
  const auto sums = [&](std::uint64_t row) { return job.sums.data + row * job.sums.stride; };
  for (std::uint64_t row = 0; row < x.rows; ++row) std::copy(start, std::end(start), sums(row));
  for (std::uint64_t first = 0; first < x.cols; first += columns_at_a_time) {
    const std::uint64_t count = std::min(columns_at_a_time, x.cols - first);
    loops.pack_weights(packed, weights.data + first * weights.stride, weights.stride, count);
    in_pieces(context, x.rows, rows_at_a_time, x.rows * count >= worth_sharing,
              [&](std::uint64_t row, std::uint64_t rows) {
                loops.weigh_rows(x.data + row * x.stride + first, x.stride, packed, count,
                                 sums(row), job.sums.stride, rows);
              });
  }
  return true;
}

void cpu_page_digests(Context& context, const std::uint8_t* data, std::uint64_t bytes,
                      std::uint8_t* digests) {
  in_pieces(context, ceil_div(bytes, page_bytes), 16, bytes >= 16 * page_bytes,
            [&](std::uint64_t first, std::uint64_t count) {
              const std::uint64_t begin = first * page_bytes;
              leaf_digests(data + begin, std::min(count * page_bytes, bytes - begin),
                           digests + first * 32);
            });
}

void cpu_map(Context& context, const MapJob& job) {
  in_pieces(context, job.count, 1 << 14, job.count >= worth_sharing,
            [&](std::uint64_t first, std::uint64_t count) {
              context.engine.loops->map(job.function, job.x, job.y, first, count);
            });
}

template <class T>
void cpu_select(Context& context, const Selection<T>& s) {
  const bool shared = s.to.rows * s.to.cols >= worth_sharing;
  const std::uint64_t rows = std::max<std::uint64_t>(1, (1 << 14) / s.to.cols);
  in_pieces(context, s.to.rows, rows, shared, [&](std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t r = first; r < first + count; ++r) {
      T* const to = s.to.data + r * s.to.stride;
      if (s.lines == Lines::rows) {
        std::copy_n(s.from.data + s.index[r] * s.from.stride, s.to.cols, to);
      } else {
        const T* const from = s.from.data + r * s.from.stride;
        for (std::uint64_t c = 0; c < s.to.cols; ++c) to[c] = from[s.index[c]];
      }
    }
  });
}

// ---- instruction sets

bool has_v3() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  if ((c & bit_MOVBE) == 0 || (c & bit_F16C) == 0) return false;
  if (__get_cpuid(0x80000001, &a, &b, &c, &d) == 0 || (c & bit_LZCNT) == 0) return false;
  // these also ask whether the system saves the registers
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

bool has_v4() {
#if defined(__x86_64__)
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

bool has_vnni() {
#if defined(__x86_64__)
  return has_v4() && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

#if defined(__x86_64__)
bool has_ifma() { return has_vnni() && __builtin_cpu_supports("avx512ifma"); }

// As with VNNI, but for what multiplies integers of 52 bits. Filled in before it is used.
Loops loops_ifma;
#endif

template <const Loops& loops>
constexpr Engine engine = {
    &loops,
    cpu_fill_f32,
    cpu_fill_i8,
    cpu_quantise,
    cpu_quantise_limbs,
    cpu_f32x,
    cpu_i8,
    cpu_i8x,
    cpu_i8x2,
    cpu_bf16,
    cpu_weigh,
    cpu_page_digests,
    cpu_map,
    cpu_select<std::uint32_t>,
    cpu_select<std::uint8_t>,
    host_compare,
    &host_store,
    &network_cpu,
};

template <const Loops& loops>
Status open_cpu(const Options& options, Context** context) {
  return open_context(engine<loops>, options, options.threads, context);
}

template <const Loops& loops>
void add(std::vector<Backend>& backends) {
  backends.push_back(make_backend(loops.name, open_cpu<loops>, &network_operations));
}

}  // namespace

std::span<const Backend> cpu_variants() {
  static const std::vector<Backend> variants = [] {
    std::vector<Backend> found;
    add<loops_baseline>(found);
#if defined(__x86_64__)
    if (has_v3()) add<loops_v3>(found);
    if (has_v4()) add<loops_v4>(found);
    if (has_vnni()) add<loops_vnni>(found);
    if (has_ifma()) {
      loops_ifma = loops_vnni;
      loops_ifma.name = "cpu-ifma";
      loops_ifma.pack_weights = ifma::pack_weights;
      loops_ifma.weigh_rows = ifma::weigh_rows;
      add<loops_ifma>(found);
    }
#endif
    return found;
  }();
  return variants;
}

const Backend& cpu() {
  static const Backend best = make_backend("cpu", cpu_variants().back().open, &network_operations);
  return best;
}

}  // namespace volt::kernels
