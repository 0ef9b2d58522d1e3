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
  const bool blocks = rounding_ == Rounding::blocks;
  device::Buffer& right = frozen_[{b.buffer, form}];
  if (right.get() == nullptr) {
    const bool along_rows = form == Form::abt;  // where k runs in B
    right = blocks ? copy(b, kernels::group, kernels::group)
                   : copy(b, along_rows ? 1 : b.rows, along_rows ? b.cols : 1);
  }
  const device::Buffer left = copy(a, 1, blocks ? kernels::group : a.cols);
  return kernels::cpu().matmul_f32x(arena, form, {left.get(), 0, a.rows, a.cols, a.cols},
                                    {right.get(), 0, b.rows, b.cols, b.cols}, c);
}

device::Buffer Rounded::copy(const Matrix& x, std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> strided((x.rows - 1) * x.stride + x.cols), dense(x.rows * x.cols);
  device_.call(&Backend::download, static_cast<const kernels::Buffer*>(x.buffer), 4 * x.offset,
               static_cast<void*>(strided.data()), std::uint64_t{4 * strided.size()});
  for (std::uint64_t i = 0; i < x.rows; ++i) {
    std::copy_n(&strided[i * x.stride], x.cols, &dense[i * x.cols]);
  }
  if (rounding_ == Rounding::bf16) {
    for (float& value : dense) value = kernels::from_bf16(kernels::to_bf16(value));
  } else {
    for (std::uint64_t i = 0; i < x.rows; i += rows) {
      for (std::uint64_t j = 0; j < x.cols; j += cols) {
        round_part(&dense[i * x.cols + j], std::min(rows, x.rows - i), std::min(cols, x.cols - j),
                   x.cols);
      }
    }
  }
  device::Buffer buffer = device_.create(4 * dense.size());
  device_.call(&Backend::upload, buffer.get(), std::uint64_t{0},
               static_cast<const void*>(dense.data()), std::uint64_t{4 * dense.size()});
  return buffer;
}

}  // namespace volt::bench
