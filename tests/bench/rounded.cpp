// SPDX-License-Identifier: Apache-2.0
#include "rounded.hpp"

#include <algorithm>
#include <vector>

#include "kernels/exact.hpp"

namespace volt::bench {
namespace {

using kernels::Backend;
using kernels::Form;
using kernels::Matrix;

void round_part(float* part, std::uint64_t rows, std::uint64_t cols, std::uint64_t stride) {
  std::uint32_t amax = 0;
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < cols; ++j) {
      amax = std::max(amax, kernels::magnitude_bits(part[i * stride + j]));
    }
  }
  const auto group = kernels::group_scale(amax);
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < cols; ++j) {
      float& value = part[i * stride + j];
      value = static_cast<float>(kernels::quantise_one(value, group)) * group.scale;
    }
  }
}

/// The 128 elements from `group` on; twice is 128 times.
void rotate_group(float* group, std::uint64_t stride, float factor) {
  for (std::uint64_t distance = 1; distance < kernels::group; distance *= 2) {
    for (std::uint64_t i = 0; i < kernels::group; ++i) {
      if ((i & distance) != 0) continue;
      float& a = group[i * stride];
      float& b = group[(i + distance) * stride];
      const float sum = a + b;
      b = (a - b) * factor;
      a = sum * factor;
    }
  }
}

/// Along the columns, and along the rows of a frozen matrix.
void rotate(std::vector<float>& matrix, std::uint64_t cols, bool frozen, float factor) {
  const std::uint64_t rows = matrix.size() / cols;
  for (std::uint64_t i = 0; i < matrix.size(); i += kernels::group) {
    rotate_group(&matrix[i], 1, factor);
  }
  for (std::uint64_t i = 0; frozen && i < rows; i += kernels::group) {
    for (std::uint64_t j = 0; j < cols; ++j) rotate_group(&matrix[i * cols + j], cols, factor);
  }
}

std::uint64_t padded(std::uint64_t extent) {
  return (extent + kernels::group - 1) / kernels::group * kernels::group;
}

}  // namespace

const Backend& Rounded::backend(Rounding rounding) {
  if (rounding == Rounding::none) return kernels::cpu();
  static const Backend table = [] {
    Backend copy = kernels::cpu();
    copy.matmul_f32x = [](kernels::Context* arena, Form form, const Matrix& a, const Matrix& b,
                          const Matrix& c) { return present->product(arena, form, a, b, c); };
    return copy;
  }();
  return table;
}

Rounded::Rounded(Rounding rounding, device::Device& device, const kernels::Buffer* trained)
    : rounding_(rounding), device_(device), trained_(trained) {
  present = this;
}

kernels::Status Rounded::product(kernels::Context* arena, Form form, const Matrix& a,
                                 const Matrix& b, const Matrix& c) {
  if (form == Form::atb || b.buffer == trained_) {
    return kernels::cpu().matmul_f32x(arena, form, a, b, c);
  }
  const bool along_rows = form == Form::abt;  // where k runs in B
  device::Buffer& right = frozen_[{b.buffer, form}];
  if (right.get() == nullptr) {
    right = copy(b, true, along_rows ? 1 : padded(b.rows), along_rows ? padded(b.cols) : 1);
  }
  const device::Buffer left = copy(a, false, 1, padded(a.cols));
  const std::uint64_t k = padded(a.cols), stride = padded(b.cols);
  return kernels::cpu().matmul_f32x(
      arena, form, {left.get(), 0, a.rows, k, k},
      {right.get(), 0, along_rows ? b.rows : k, along_rows ? k : b.cols, stride}, c);
}

device::Buffer Rounded::copy(const Matrix& x, bool frozen, std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> strided((x.rows - 1) * x.stride + x.cols);
  device_.call(&Backend::download, static_cast<const kernels::Buffer*>(x.buffer), 4 * x.offset,
               static_cast<void*>(strided.data()), std::uint64_t{4 * strided.size()});
  const std::uint64_t width = padded(x.cols);
  std::vector<float> dense((frozen ? padded(x.rows) : x.rows) * width);
  for (std::uint64_t i = 0; i < x.rows; ++i) {
    std::copy_n(&strided[i * x.stride], x.cols, &dense[i * width]);
  }
  if (rounding_ == Rounding::bf16) {
    for (float& value : dense) value = kernels::from_bf16(kernels::to_bf16(value));
  } else {
    if (rounding_ != Rounding::lines) {
      rows = frozen ? kernels::group : 1;
      cols = kernels::group;
    }
    if (rounding_ == Rounding::butterflies) rotate(dense, width, frozen, 1.0F);
    for (std::uint64_t i = 0; i < dense.size(); i += rows * width) {
      for (std::uint64_t j = 0; j < width; j += cols) round_part(&dense[i + j], rows, cols, width);
    }
    if (rounding_ == Rounding::butterflies) rotate(dense, width, frozen, 0.5F);  // 2^-7 in all
  }
  device::Buffer buffer = device_.create(4 * dense.size());
  device_.call(&Backend::upload, buffer.get(), std::uint64_t{0},
               static_cast<const void*>(dense.data()), std::uint64_t{4 * dense.size()});
  return buffer;
}

}  // namespace volt::bench
