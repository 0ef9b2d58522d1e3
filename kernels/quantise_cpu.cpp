// SPDX-License-Identifier: Apache-2.0

// Compiled once per instruction set (VOLT_ISA). No function template or inline function of the
// standard library may be used here: the linker could pick this file's copy for all others.

#include "quantise_cpu.hpp"

#include "exact.hpp"

namespace volt::kernels {
inline namespace VOLT_ISA {

constexpr std::uint64_t group = 128;

static std::uint64_t least(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

// ---- quantise

void quantise_row(const float* x, std::uint64_t cols, std::int8_t* q, float* scales) {
  for (std::uint64_t first = 0; first < cols; first += group) {
    const std::uint64_t end = least(first + group, cols);
    std::uint32_t amax = 0;
    for (std::uint64_t i = first; i < end; ++i) {
      const std::uint32_t bits = magnitude_bits(x[i]);
      amax = bits > amax ? bits : amax;
    }
    const GroupScale scale = group_scale(amax);
    *scales++ = scale.scale;
    if (scale.keep) {
      for (std::uint64_t i = first; i < end; ++i) q[i] = quantise_one(x[i], scale);
    } else {
      __builtin_memset(q + first, 0, end - first);
    }
  }
}

void quantise_columns(const float* x, std::uint64_t stride, std::uint64_t rows, std::uint64_t cols,
                      std::int8_t* q, std::uint64_t q_stride, float* scales) {
  constexpr std::uint64_t batch = 64;
  for (std::uint64_t first = 0; first < cols; first += batch) {
    const std::uint64_t count = least(batch, cols - first);
    std::uint32_t amax[batch] = {};
    for (std::uint64_t r = 0; r < rows; ++r) {
      const float* row = x + r * stride + first;
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint32_t bits = magnitude_bits(row[i]);
        amax[i] = bits > amax[i] ? bits : amax[i];
      }
    }
    float inverse[batch];
    std::uint32_t keep[batch];  // a mask, so that the loop below has no branch
    for (std::uint64_t i = 0; i < count; ++i) {
      const GroupScale scale = group_scale(amax[i]);
      scales[first + i] = scale.scale;
      inverse[i] = scale.inverse;
      keep[i] = scale.keep ? 0xffffffffu : 0;
    }
    for (std::uint64_t r = 0; r < rows; ++r) {
      const float* row = x + r * stride + first;
      std::int8_t* to = q + r * q_stride + first;
      for (std::uint64_t i = 0; i < count; ++i) {
        const float kept = bits_float(float_bits(row[i]) & keep[i]);
        to[i] = quantise_one(kept, {0.0f, inverse[i], true});
      }
    }
  }
}

// ---- random numbers

void random_words(std::uint32_t (&words)[batch_words], std::uint64_t seed, std::uint32_t stream,
                  std::uint64_t block) {
  for (std::uint64_t i = 0; i < batch_words / 4; ++i) {
    const PhiloxBlock random = random_block(seed, stream, block + i);
    for (std::uint64_t j = 0; j < 4; ++j) words[4 * i + j] = random.word[j];
  }
}

void fill_f32(float* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
              std::uint64_t first) {
  std::uint32_t words[batch_words];
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t element = first + done;
    const std::uint64_t skip = element % 4;
    const std::uint64_t take = least(batch_words - skip, count - done);
    random_words(words, seed, stream, element / 4);
    for (std::uint64_t i = 0; i < take; ++i) to[done + i] = word_to_f32(words[skip + i]);
    done += take;
  }
}

void fill_i8(std::int8_t* to, std::uint64_t count, std::uint64_t seed, std::uint32_t stream,
             std::uint64_t first) {
  std::uint32_t words[batch_words];
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t element = first + done;
    const std::uint64_t skip = element % 16;
    const std::uint64_t take = least(4 * batch_words - skip, count - done);
    random_words(words, seed, stream, element / 16);
    for (std::uint64_t i = 0; i < take; ++i) {
      const std::uint64_t byte = skip + i;
      to[done + i] = word_to_i8(words[byte / 4], static_cast<unsigned>(byte % 4));
    }
    done += take;
  }
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels
