// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/frozen.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/exact.hpp"
#include "kernels/network_functions.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/lm/nf4.hpp"

namespace volt::lm {
namespace {

using kernels::Matrix;

constexpr Format formats[] = {Format::fp32, Format::bf16, Format::nf4};
constexpr Profile profiles[] = {Profile::f32x, Profile::i8x};

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<float> values(count);
  for (float& one : values) one = value(random);
  return values;
}

Weight weight_of(const std::vector<float>& values, std::uint64_t rows, std::uint64_t cols) {
  REQUIRE(values.size() == rows * cols);
  return {"w",
          "w.safetensors",
          {tensor::Dtype::f32, {rows, cols}},
          {reinterpret_cast<const std::uint8_t*>(values.data()), 4 * values.size()}};
}

/// What a format makes of the values, by its definition.
std::vector<float> rounded(const std::vector<float>& values, const Weight& weight, Format format) {
  std::vector<float> result = values;
  if (format == Format::bf16) {
    for (float& value : result) value = kernels::from_bf16(kernels::to_bf16(value));
  }
  if (format != Format::nf4) return result;
  const Nf4 nf4 = quantise_nf4(weight);
  for (std::size_t e = 0; e < result.size(); ++e) {
    const std::uint32_t byte = nf4.nibbles[e / 2];
    const float absmax = kernels::nf4_absmax(kernels::dynamic_value(nf4.codes[e / 64]),
                                             nf4.scales[e / 64 / 256], nf4.offset);
    result[e] = kernels::nf4_value(e % 2 == 0 ? byte >> 4 : byte & 15) * absmax;
  }
  return result;
}

/// A device with a matrix on it.
struct Place {
  Place(std::uint64_t rows, std::uint64_t cols)
      : device(device::wanted("cpu", 2)),
        bands(device, std::min(padded(rows), Bands::rows(cols)) * padded(cols), Format::nf4,
              Profile::i8x),
        room(device, size(3 * padded(std::max(rows, cols)))) {}

  static RoomSize size(std::uint64_t elements) { return {{elements, elements}, elements}; }

  Tensor put(const std::vector<float>& values, std::uint64_t cols) {
    Tensor tensor = make_tensor(device, values.size() / cols, cols);
    device.call(&kernels::Backend::upload, tensor.buffer.get(), std::uint64_t{0}, values.data(),
                std::uint64_t{4 * values.size()});
    return tensor;
  }
  std::vector<float> get(const Tensor& tensor) {
    std::vector<float> values(tensor.matrix.rows * tensor.matrix.cols);
    device.download(tensor.buffer, reinterpret_cast<std::uint8_t*>(values.data()),
                    4 * values.size());
    return values;
  }
  /// y = x W^T and then dx = 1 + dy W, of random x and dy with three rows.
  std::vector<float> products(const FrozenMatrix& w, std::uint64_t out, std::uint64_t in) {
    const Tensor x = put(random_values(3 * in, 1), in), dy = put(random_values(3 * out, 2), out);
    const Tensor y = put(std::vector<float>(3 * out), out), dx = put(std::vector(3 * in, 1.0F), in);
    w.multiply(room, x.matrix, y.matrix);
    w.multiply_back(room, dy.matrix, dx.matrix);
    std::vector<float> all = get(y), more = get(dx);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  device::Device device;
  Bands bands;
  Room room;
};

/// The products of numerics contract, section 4, as plain loops: W' = 2^-14 (R (W R^T)), along `in`
/// first, in int8 blocks of 128 x 128; y = R^T (W' (R x)), dx = 1 + R^T (W'^T (R dy)). R is H D
/// with D the signs of pi's digits.
struct Plain {
  static constexpr std::uint64_t g = 128;

  static void signs(float* v, std::uint64_t step) {
    constexpr std::uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    for (std::uint64_t i = 0; i < g; ++i) {
      if ((pi[i / 32] >> i % 32 & 1) != 0) v[i * step] = -v[i * step];
    }
  }
  static void butterflies(float* v, std::uint64_t step) {
    for (std::uint64_t distance = 1; distance < g; distance *= 2) {
      for (std::uint64_t i = 0; i < g; ++i) {
        if ((i & distance) != 0) continue;
        const float a = v[i * step], b = v[(i + distance) * step];
        v[i * step] = a + b;
        v[(i + distance) * step] = a - b;
      }
    }
  }
  static void turn(float* v, std::uint64_t step) {
    signs(v, step);
    butterflies(v, step);
  }
  static void turn_back(float* v) {
    butterflies(v, 1);
    signs(v, 1);
  }

  Plain(const std::vector<float>& weight, std::uint64_t o, std::uint64_t i, bool conv1d)
      : out(padded(o)), in(padded(i)), w(out * in), q(out * in), scales(out * in / g / g) {
    for (std::uint64_t r = 0; r < o; ++r) {
      for (std::uint64_t c = 0; c < i; ++c)
        w[r * in + c] = conv1d ? weight[c * o + r] : weight[r * i + c];
    }
    for (std::uint64_t at = 0; at < w.size(); at += g) turn(&w[at], 1);
    for (std::uint64_t r = 0; r < out; r += g) {
      for (std::uint64_t c = 0; c < in; ++c) turn(&w[r * in + c], in);
    }
    std::vector<std::uint32_t> amax(scales.size());
    for (std::uint64_t e = 0; e < w.size(); ++e) {
      w[e] *= 0x1p-14F;
      amax[block(e)] = std::max(amax[block(e)], kernels::magnitude_bits(w[e]));
    }
    for (std::uint64_t e = 0; e < w.size(); ++e) {
      const auto scale = kernels::group_scale(amax[block(e)]);
      scales[block(e)] = scale.scale;
      q[e] = kernels::quantise_one(w[e], scale);
    }
  }
  std::uint64_t block(std::uint64_t e) const { return e / in / g * (in / g) + e % in / g; }

  /// One row, through W^T or W.
  std::vector<float> product(std::vector<float> x, bool back, std::uint64_t count) const {
    x.resize(padded(x.size()));
    for (std::size_t i = 0; i < x.size(); i += g) turn(&x[i], 1);
    std::vector<float> y(back ? in : out);
    for (std::uint64_t j = 0; j < y.size(); ++j) {
      for (std::uint64_t first = 0; first < x.size(); first += g) {
        std::uint32_t amax = 0;
        for (std::uint64_t k = first; k < first + g; ++k)
          amax = std::max(amax, kernels::magnitude_bits(x[k]));
        const auto scale = kernels::group_scale(amax);
        std::int32_t sum = 0;
        for (std::uint64_t k = first; k < first + g; ++k)
          sum += kernels::quantise_one(x[k], scale) * q[back ? k * in + j : j * in + k];
        const float of_block = scales[block(back ? first * in + j : j * in + first)];
        y[j] = kernels::i8x_step(y[j], sum, scale.scale, of_block);
      }
    }
    for (std::size_t i = 0; i < y.size(); i += g) turn_back(&y[i]);
    y.resize(count);
    return y;
  }

  std::uint64_t out, in;
  std::vector<float> w;
  std::vector<std::int8_t> q;
  std::vector<float> scales;
};

std::vector<float> row(const std::vector<float>& values, std::uint64_t i, std::uint64_t cols) {
  const auto first = values.begin() + static_cast<std::ptrdiff_t>(i * cols);
  return {first, first + static_cast<std::ptrdiff_t>(cols)};
}

std::vector<float> expected(const std::vector<float>& weight, std::uint64_t out, std::uint64_t in,
                            bool conv1d, Profile profile) {
  const auto x = random_values(3 * in, 1), dy = random_values(3 * out, 2);
  std::vector<float> y(3 * out), dx(3 * in, 1.0F);
  const Plain plain(weight, out, in, conv1d);
  for (std::uint64_t r = 0; r < 3; ++r) {
    if (profile == Profile::i8x) {
      std::ranges::copy(plain.product(row(x, r, in), false, out), &y[r * out]);
      const auto back = plain.product(row(dy, r, out), true, in);
      for (std::uint64_t i = 0; i < in; ++i) dx[r * in + i] += back[i];
      continue;
    }
    for (std::uint64_t o = 0; o < out; ++o) {
      for (std::uint64_t i = 0; i < in; ++i) {
        const float w = weight[conv1d ? i * out + o : o * in + i];
        y[r * out + o] = kernels::fused(x[r * in + i], w, y[r * out + o]);
        dx[r * in + i] = kernels::fused(dy[r * out + o], w, dx[r * in + i]);
      }
    }
  }
  y.insert(y.end(), dx.begin(), dx.end());
  return y;
}

Architecture small() {
  Architecture a;
  a.layers = 2;
  a.width = 256;
  a.heads = 4;
  a.kv_heads = 2;
  a.head_width = 64;
  a.ff_width = 320;
  a.vocabulary = 50;
  a.context = 32;
  a.norm_epsilon = 1e-5F;
  a.rope = Rope{};
  return a;
}

}  // namespace

TEST_CASE("products have the bits of their definition, however the matrix is kept") {
  for (const bool conv1d : {false, true}) {
    const std::uint64_t out = 150, in = 301;
    const auto values = random_values(out * in, 3);
    const Weight weight = conv1d ? weight_of(values, in, out) : weight_of(values, out, in);
    for (const Format format : formats) {
      for (const Profile profile : profiles) {
        CAPTURE(conv1d);
        CAPTURE(static_cast<int>(format));
        CAPTURE(static_cast<int>(profile));
        Place place(in, in);
        const FrozenMatrix frozen(place.bands, weight, format, profile, conv1d);
        CHECK(place.products(frozen, out, in) ==
              expected(rounded(values, weight, format), out, in, conv1d, profile));
      }
    }
  }
}

TEST_CASE("bands change no bit") {
  const std::uint64_t rows = 1000, cols = 16'500;
  REQUIRE(Bands::rows(cols) == 896);
  const auto values = random_values(rows * cols, 5);
  const Weight weight = weight_of(values, rows, cols);
  const auto expanded = rounded(values, weight, Format::nf4);
  const Weight wide = weight_of(expanded, rows, cols);
  for (const bool conv1d : {false, true}) {
    for (const Profile profile : profiles) {
      CAPTURE(conv1d);
      Place place(rows, cols);
      const std::uint64_t out = conv1d ? cols : rows, in = conv1d ? rows : cols;
      // Kept as it is multiplied: a single product.
      const FrozenMatrix whole(place.bands, wide, Format::fp32, profile, conv1d);
      const FrozenMatrix banded(place.bands, weight, Format::nf4, profile, conv1d);
      CHECK(place.products(banded, out, in) == place.products(whole, out, in));
    }
  }
}

TEST_CASE("rows of a table are those of the weight, rounded where it is") {
  const auto values = random_values(20 * 33, 6);
  const Weight weight = weight_of(values, 20, 33);
  for (const Format format : {Format::fp32, Format::bf16}) {
    Place place(20, 33);
    const FrozenMatrix table(place.bands, weight, format, Profile::f32x, false);
    const std::vector<std::uint32_t> index{19, 0, 7};
    const Tensor to = make_tensor(place.device, 3, 33);
    table.gather(place.room, index, to.matrix);
    const auto got = place.get(to), all = rounded(values, weight, format);
    for (std::size_t i = 0; i < index.size(); ++i) CHECK(row(got, i, 33) == row(all, index[i], 33));
  }
}

TEST_CASE("bytes of what is frozen, by how it is kept") {
  const Architecture a = small();
  const auto bytes = [&](Format format, Profile profile) {
    return frozen_bytes(a, format, profile, {});
  };
  const std::uint64_t layer = 256 * 256 * 2 + 128 * 256 * 2 + 320 * 256 * 3;
  const std::uint64_t norms = 4 * 256 * 5, tables = 2 * 50 * 256;
  CHECK(bytes(Format::fp32, Profile::f32x) == 4 * (2 * layer + tables) + norms);
  // The widest band is that of the 320 x 256 matrices, 384 rows.
  CHECK(band_elements(a, Format::bf16, Profile::f32x, {}) == 384 * 256);
  CHECK(bytes(Format::bf16, Profile::f32x) == 2 * (2 * layer + tables) + norms + 4 * 384 * 256);
  // 1/2 + 1/64 + 4/(64 256) bytes, of whole blocks, if not of 256 of them.
  const auto nf4 = [](std::uint64_t elements) {
    return elements / 2 + elements / 64 + 4 * ((elements / 64 + 255) / 256);
  };
  const std::uint64_t layer_nf4 = 2 * nf4(256 * 256) + 2 * nf4(128 * 256) + 3 * nf4(320 * 256);
  CHECK(bytes(Format::nf4, Profile::f32x) == 2 * layer_nf4 + 2 * tables + norms + 4 * 384 * 256);
  // All of a full training is in the arenas.
  CHECK(frozen_bytes(a, Format::fp32, Profile::i8x, all_tensors(a)) == 0);
}

TEST_CASE("a weight that the base's format has no number for is refused by its name") {
  // 0x1.ffp+127 is the tie between the largest bf16 and what would be next.
  std::vector<float> values = {0, 0x1.fefffep+127F, 0x1.ffp+127F, 1};
  const auto told = [&](std::uint64_t rows, Part part, Format base,
                        Profile profile = Profile::i8x) {
    try {
      Weight weight = weight_of(values, rows, 4 / rows);
      if (rows == 1) weight.description.shape = {4};
      refuse_non_finite(weight, part, base, profile);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return error.message() + " / " + error.hint();
    }
    return std::string("none");
  };
  const std::string refusal =
      "w.safetensors: tensor \"w\" is larger than bf16 holds at element 2 / use base_format = "
      "\"fp32\"";
  CHECK(told(2, Part::up, Format::bf16) == refusal);
  CHECK(told(2, Part::head, Format::nf4) == refusal);  // which then is bf16
  CHECK(told(2, Part::up, Format::nf4) == "none");
  CHECK(told(2, Part::up, Format::fp32) == "none");
  CHECK(
      told(2, Part::up, Format::fp32, Profile::native) ==
      "w.safetensors: tensor \"w\" is larger than bf16 holds at element 2 / use profile = \"i8x\"");
  CHECK(told(1, Part::final_norm, Format::bf16) == "none");
  values[2] = -0x1.fefffep+127F;
  CHECK(told(2, Part::up, Format::bf16) == "none");
  values[3] = -0x1.fffffep+127F;
  CHECK(told(2, Part::up, Format::bf16).find("element 3") != std::string::npos);
  values[0] = std::numeric_limits<float>::infinity();
  CHECK(told(2, Part::up, Format::fp32).find("is not finite at element 0") != std::string::npos);
  // Of NF4 the mean of the blocks' magnitudes must be a number.
  const std::vector<float> large(256, 1e38F);
  CHECK_THROWS_WITH_AS(
      quantise_nf4(weight_of(large, 2, 128)),
      "w.safetensors: tensor \"w\" is too large for nf4: the sum of its magnitudes is not finite",
      Error);
}

TEST_CASE("a base of 7B takes less than 4 GB in NF4") {
  Architecture a = small();  // Llama 2
  a.layers = 32;
  a.width = 4096;
  a.heads = a.kv_heads = 32;
  a.head_width = 128;
  a.ff_width = 11'008;
  a.vocabulary = 32'000;
  const auto gigabytes = [&](Format format, Profile profile) {
    return static_cast<double>(frozen_bytes(a, format, profile, {})) * 1e-9;
  };
  CHECK(gigabytes(Format::nf4, Profile::f32x) == doctest::Approx(3.94).epsilon(0.005));
  CHECK(gigabytes(Format::nf4, Profile::i8x) == doctest::Approx(3.83).epsilon(0.005));
  CHECK(gigabytes(Format::bf16, Profile::i8x) == doctest::Approx(7.31).epsilon(0.01));
  CHECK(gigabytes(Format::bf16, Profile::f32x) == doctest::Approx(13.54).epsilon(0.005));
  CHECK(gigabytes(Format::fp32, Profile::f32x) == doctest::Approx(26.95).epsilon(0.005));
}

}  // namespace volt::lm
