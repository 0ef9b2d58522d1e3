// SPDX-License-Identifier: Apache-2.0

// The gold standard of network.hpp: every definition as the plainest loop.

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "network_reference.hpp"

namespace volt::kernels {
namespace {

float mean_of(float total, std::uint64_t count) { return total / static_cast<float>(count); }

void rms_norm(Context&, const RmsNorm<Checked>& job) {
  const std::uint64_t n = job.w.cols;
  for (std::uint64_t i = 0; i < job.x.rows * job.r.cols; ++i) {
    const float* const x = head_of(job.x, i, job.r.cols);
    float* const y = head_of(job.y, i, job.r.cols);
    const float squares = sum(n, [&](auto j, float acc) { return fused(x[j], x[j], acc); });
    const float r = rsqrt(mean_of(squares, n) + job.epsilon);
    *head_of(job.r, i, job.r.cols) = r;
    for (std::uint64_t j = 0; j < n; ++j) y[j] = canonical((x[j] * r) * job.w.data[j]);
  }
}

void rms_norm_backward(Context&, const RmsNormBackward<Checked>& job) {
  const std::uint64_t n = job.w.cols;
  const float* const w = job.w.data;
  for (std::uint64_t i = 0; i < job.x.rows * job.r.cols; ++i) {
    const float* const x = head_of(job.x, i, job.r.cols);
    const float* const dy = head_of(job.dy, i, job.r.cols);
    float* const dx = head_of(job.dx, i, job.r.cols);
    const float r = *head_of(job.r, i, job.r.cols);
    const float dot = sum(n, [&](auto j, float acc) { return fused(dy[j] * w[j], x[j], acc); });
    const float c = ((r * r) * r) * mean_of(dot, n);
    for (std::uint64_t j = 0; j < n; ++j) {
      dx[j] = canonical(dx[j] + fused(-x[j], c, (dy[j] * w[j]) * r));
      if (job.dw.data != nullptr) {
        job.dw.data[j] = canonical(fused(dy[j], x[j] * r, job.dw.data[j]));
      }
    }
  }
}

void layer_norm(Context&, const LayerNorm<Checked>& job) {
  const std::uint64_t n = job.x.cols;
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    const float* const x = row(job.x, i);
    const float mean = mean_of(sum(n, [&](auto j, float acc) { return acc + x[j]; }), n);
    const float squares = sum(n, [&](auto j, float acc) {
      const float apart = x[j] - mean;
      return fused(apart, apart, acc);
    });
    const float r = rsqrt(mean_of(squares, n) + job.epsilon);
    row(job.kept, i)[0] = canonical(mean);
    row(job.kept, i)[1] = r;
    for (std::uint64_t j = 0; j < n; ++j) {
      row(job.y, i)[j] = canonical(fused((x[j] - mean) * r, job.w.data[j], job.b.data[j]));
    }
  }
}

void layer_norm_backward(Context&, const LayerNormBackward<Checked>& job) {
  const std::uint64_t n = job.x.cols;
  const float* const w = job.w.data;
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    const float* const x = row(job.x, i);
    const float* const dy = row(job.dy, i);
    float* const dx = row(job.dx, i);
    const float mean = row(job.kept, i)[0], r = row(job.kept, i)[1];
    const float s = mean_of(
        sum(n, [&](auto j, float acc) { return fused(dy[j] * w[j], (x[j] - mean) * r, acc); }), n);
    const float t = mean_of(sum(n, [&](auto j, float acc) { return acc + dy[j] * w[j]; }), n);
    for (std::uint64_t j = 0; j < n; ++j) {
      const float h = (x[j] - mean) * r;
      dx[j] = canonical(dx[j] + r * fused(-h, s, dy[j] * w[j] - t));
      if (job.dw.data != nullptr) {
        job.dw.data[j] = canonical(fused(dy[j], h, job.dw.data[j]));
        job.db.data[j] = canonical(job.db.data[j] + dy[j]);
      }
    }
  }
}

void rope(Context&, const Rope<Checked>& job) {
  const std::uint64_t half = job.turns.cols;
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t head = 0; head < job.x.cols; head += 2 * half) {
      for (std::uint64_t j = 0; j < half; ++j) {
        float& a = row(job.x, i)[head + j];
        float& b = row(job.x, i)[head + half + j];
        const std::uint64_t phase = *row(job.positions, i) * job.turns.data[j];
        const Turned turned = turn(a, b, angle_of(phase, job.backward));
        a = turned.a;
        b = turned.b;
      }
    }
  }
}

void activate(Context&, const Activate<Checked>& job) {
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t j = 0; j < job.x.cols; ++j) {
      const float f = activation(job.f, row(job.x, i)[j]).value;
      row(job.out, i)[j] = canonical(job.u.data != nullptr ? f * row(job.u, i)[j] : f);
    }
  }
}

void activate_backward(Context&, const ActivateBackward<Checked>& job) {
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t j = 0; j < job.x.cols; ++j) {
      const Slope f = activation(job.f, row(job.x, i)[j]);
      const float dout = row(job.dout, i)[j];
      if (job.u.data == nullptr) {
        row(job.dx, i)[j] = canonical(dout * f.slope);
        continue;
      }
      const float u = row(job.u, i)[j];
      row(job.dx, i)[j] = canonical((dout * u) * f.slope);
      row(job.du, i)[j] = canonical(dout * f.value);
    }
  }
}

void cross_entropy(Context&, const CrossEntropy<Checked>& job) {
  const std::uint64_t n = job.logits.cols;
  for (std::uint64_t i = 0; i < job.logits.rows; ++i) {
    float* const s = row(job.logits, i);
    float* const told = row(job.told, i);
    const std::uint32_t target = *row(job.targets, i);
    if (target == no_target) {
      std::fill(s, s + n, 0.0f);
      std::fill(told, told + 3, 0.0f);
      continue;
    }
    float m = -std::numeric_limits<float>::infinity();
    for (std::uint64_t j = 0; j < n; ++j) m = largest(s[j], m);
    m = m + 0.0f;
    const float l = sum(n, [&](auto j, float acc) { return acc + exp(s[j] - m); });
    const float entropy =
        sum(n, [&](auto j, float acc) { return weighted(exp(s[j] - m), s[j] - m, acc); });
    const float inverse = 1.0f / l;
    told[0] = canonical(log(l) + (m - s[target]));
    told[1] = canonical(inverse);
    told[2] = canonical(fused(-entropy, inverse, log(l)));
    for (std::uint64_t j = 0; j < n; ++j) {
      const float p = exp(s[j] - m) * inverse;
      s[j] = canonical(j == target ? p - 1.0f : p);
    }
  }
}

std::uint32_t likeliest(const float* logits, std::uint64_t n) {
  std::uint32_t best = no_token;
  for (std::uint32_t j = 0; j < n; ++j) {
    if (logits[j] == logits[j] && (best == no_token || logits[j] > logits[best])) best = j;
  }
  return best;
}

std::uint32_t drawn(const std::vector<float>& p, float top_p, float u) {
  std::vector<std::uint32_t> order(p.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return p[a] > p[b]; });
  float all = 0.0f;
  for (std::size_t i = 0; i < order.size() && all < top_p; ++i) all = all + p[order[i]];
  // u is at most 1 - 2^-24, and so u * all less than all, which the sum comes to.
  std::size_t i = 0;
  for (float sum = p[order[0]]; !(sum > u * all); sum = sum + p[order[i]]) ++i;
  return order[i];
}

bool draw(Context&, const Draw<Checked>& job) {
  const std::uint64_t n = job.logits.cols;
  for (std::uint64_t i = 0; i < job.logits.rows; ++i) {
    const float* const logits = row(job.logits, i);
    std::uint32_t& token = *row(job.tokens, i);
    token = likeliest(logits, n);
    if (token == no_token || job.temperature == 0.0f) continue;
    const float m = logits[token] / job.temperature;
    if (!is_finite(m)) continue;
    std::vector<float> p(n);
    for (std::uint64_t j = 0; j < n; ++j) {
      p[j] = logits[j] == logits[j] ? exp(logits[j] / job.temperature - m) : 0.0f;
    }
    const float inverse = 1.0f / sum(n, [&](auto j, float acc) { return acc + p[j]; });
    for (float& value : p) value = value * inverse;
    token = drawn(p, job.top_p, drawn_by(job, i));
  }
  return true;
}

void add(Context&, const Add<Checked>& job) {
  for (std::uint64_t i = 0; i < job.y.rows; ++i) {
    for (std::uint64_t j = 0; j < job.y.cols; ++j) {
      float& y = row(job.y, i)[j];
      y = canonical(y + row(job.x, job.x.rows == 1 ? 0 : i)[j]);
    }
  }
}

void sum_rows(Context&, const SumRows<Checked>& job) {
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t j = 0; j < job.x.cols; ++j) {
      job.y.data[j] = canonical(job.y.data[j] + row(job.x, i)[j]);
    }
  }
}

void zero(Context&, const Zero<Checked>& job) {
  for (std::uint64_t i = 0; i < job.x.rows; ++i) std::fill_n(row(job.x, i), job.x.cols, 0.0f);
}

void narrow(Context&, const Narrow<Checked>& job) {
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t j = 0; j < job.x.cols; ++j) row(job.y, i)[j] = to_bf16(row(job.x, i)[j]);
  }
}

void scale(Context&, const Scale<Checked>& job) {
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t j = 0; j < job.x.cols; ++j) {
      float& x = row(job.x, i)[j];
      x = canonical(x * job.factor);
    }
  }
}

void scatter_rows(Context&, const ScatterRows<Checked>& job) {
  for (std::uint64_t i = 0; i < job.dx.rows; ++i) {
    for (std::uint64_t j = 0; j < job.dx.cols; ++j) {
      float& to = row(job.dtable, *row(job.ids, i))[j];
      to = canonical(to + row(job.dx, i)[j]);
    }
  }
}

void dropout(Context&, const Dropout<Checked>& job) {
  const float kept = 1.0f / (1.0f - job.p);
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t j = 0; j < job.x.cols; ++j) {
      const std::uint64_t element = job.first + i * job.x.cols + j;
      const std::uint32_t word = random_block(job.seed, job.stream, element / 4).word[element % 4];
      row(job.y, i)[j] = keeps(word, job.p) ? canonical(row(job.x, i)[j] * kept) : 0.0f;
    }
  }
}

void butterflies(float* values, std::uint64_t step) {
  for (std::uint64_t distance = 1; distance < group; distance *= 2) {
    for (std::uint64_t j = 0; j < group; ++j) {
      if ((j & distance) != 0) continue;
      const float a = values[j * step], b = values[(j + distance) * step];
      values[j * step] = a + b;
      values[(j + distance) * step] = a - b;
    }
  }
}

void keep_largest(Context&, const KeepLargest<Checked>& job) {
  const std::uint64_t n = job.y.cols;
  const float* const d = job.d.data;
  for (std::uint64_t i = 0; i < job.y.rows; ++i) {
    const float* const y = row(job.y, i);
    for (std::uint64_t j = 0; j < n; ++j) {
      std::uint64_t larger = 0;
      for (std::uint64_t k = 0; k < n; ++k) {
        larger += is_behind(size_of(y[j], d[j]), j, size_of(y[k], d[k]), k);
      }
      const bool kept = larger < job.active;
      row(job.out, i)[j] = kept ? canonical(row(job.x, i)[j]) : 0.0f;
      if (job.counts.data != nullptr) job.counts.data[j] += kept;
    }
  }
}

float signed_for_rotation(float value, std::uint64_t j) {
  return bits_float(float_bits(value) ^ rotation_sign(static_cast<std::uint32_t>(j % group)));
}

void rotate(Context&, const Rotate<Checked>& job) {
  for (std::uint64_t i = 0; i < job.x.rows; ++i) {
    for (std::uint64_t first = 0; first < std::max(job.x.cols, job.y.cols); first += group) {
      float values[group];
      for (std::uint64_t j = first; j < first + group; ++j) {
        const float x = j < job.x.cols ? row(job.x, i)[j] : 0.0f;
        values[j - first] = job.back ? x : signed_for_rotation(x, j);
      }
      butterflies(values, 1);
      for (std::uint64_t j = first; j < std::min(first + group, job.y.cols); ++j) {
        const float y = values[j - first] * job.factor;
        row(job.y, i)[j] = canonical(job.back ? signed_for_rotation(y, j) : y);
      }
    }
  }
}

void quantise_rotated(Context&, const QuantiseRotated<Checked>& job) {
  for (std::uint64_t top = 0; top < job.q.rows; top += group) {
    for (std::uint64_t left = 0; left < job.q.cols; left += group) {
      std::vector<float> w(group * group);
      for (std::uint64_t i = top; i < std::min(top + group, job.x.rows); ++i) {
        for (std::uint64_t j = left; j < std::min(left + group, job.x.cols); ++j) {
          w[(i - top) * group + j - left] =
              signed_for_rotation(signed_for_rotation(row(job.x, i)[j], j), i);
        }
      }
      for (const bool down : {job.down_first, !job.down_first}) {
        for (std::uint64_t line = 0; line < group; ++line) {
          down ? butterflies(&w[line], group) : butterflies(&w[line * group], 1);
        }
      }
      std::uint32_t amax = 0;
      for (float& value : w) {
        value = value * 0x1p-14f;
        amax = std::max(amax, magnitude_bits(value));
      }
      const GroupScale scale = group_scale(amax);
      for (std::uint64_t i = 0; i < group; ++i) {
        row(job.by_rows, top + i)[left / group] = scale.scale;
        row(job.by_columns, top / group)[left + i] = scale.scale;
        for (std::uint64_t j = 0; j < group; ++j) {
          row(job.q, top + i)[left + j] = quantise_one(w[i * group + j], scale);
        }
      }
    }
  }
}

void expand_nf4(Context&, const ExpandNf4<Checked>& job) {
  for (std::uint64_t e = 0; e < job.y.rows * job.y.cols; ++e) {
    const std::uint64_t block = e / nf4_block;
    const float absmax = nf4_absmax(dynamic_value(job.codes.data[block]),
                                    job.scales.data[(job.first + block) / nf4_group], job.offset);
    const std::uint8_t byte = job.nibbles.data[e / 2];
    row(job.y, e / job.y.cols)[e % job.y.cols] =
        canonical(nf4_value(e % 2 == 0 ? byte >> 4 : byte & 15) * absmax);
  }
}

void adam(Context&, const Adam<Checked>& job) {
  const AdamFactors factors = factors_of(job);
  for (std::uint64_t i = 0; i < job.p.rows; ++i) {
    for (std::uint64_t j = 0; j < job.p.cols; ++j) {
      const AdamState next = adam_step(
          factors, {row(job.p, i)[j], row(job.m, i)[j], row(job.v, i)[j]}, row(job.g, i)[j]);
      row(job.p, i)[j] = next.p;
      row(job.m, i)[j] = next.m;
      row(job.v, i)[j] = next.v;
    }
  }
}

float square_sum(Context&, const View<const float>& x) {
  return canonical(sum(x.rows * x.cols, [&](std::uint64_t i, float acc) {
    const float value = row(x, i / x.cols)[i % x.cols];
    return fused(value, value, acc);
  }));
}

}  // namespace

constinit const NetworkEngine network_reference = {
    rms_norm,
    rms_norm_backward,
    layer_norm,
    layer_norm_backward,
    rope,
    reference_attention,
    reference_attention_backward,
    activate,
    activate_backward,
    cross_entropy,
    draw,
    add,
    sum_rows,
    narrow,
    scale,
    zero,
    scatter_rows,
    dropout,
    keep_largest,
    rotate,
    quantise_rotated,
    expand_nf4,
    adam,
    square_sum,
};

}  // namespace volt::kernels
