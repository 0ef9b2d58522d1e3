// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "libvolt/lm/folder.hpp"
#include "libvolt/lm/room.hpp"
#include "libvolt/lm/trained.hpp"

namespace volt::lm {

/// How products are computed: f32x, by fp32 chains; i8x, those with frozen matrices by rotated int8
/// groups and all else by chains; i8x2, besides, by two int8 limbs those of attention
/// (kernels::Products::limbs) and, over their features, those with adapters and trained matrices,
/// which linear.hpp names; native, all in bf16 and not exactly (kernels::Backend::matmul_bf16,
/// kernels::Products::rounded).
enum class Profile { f32x, i8x, i8x2, native };
/// By the name that jobs give it.
Profile profile_named(std::string_view name);
/// Whether products with frozen matrices are by rotated int8.
constexpr bool rotates(Profile profile) {
  return profile == Profile::i8x || profile == Profile::i8x2;
}
/// How embeddings are kept, and so a head that is tied to them unless products rotate it.
constexpr Profile of_tables(Profile profile) { return rotates(profile) ? Profile::f32x : profile; }

/// What becomes of the values of frozen matrices: fp32, as the files have them; bf16, to nearest,
/// ties to even; or NF4 with double quantisation (nf4.hpp). Norms and biases are always fp32.
enum class Format { fp32, bf16, nf4 };
/// By the name that jobs give it.
Format format_named(std::string_view name);

/// NF4 is for the linear maps of the layers: embeddings and the head are then bf16.
Format format_of(Part part, Format base);

/// Throws Error (usage) naming the first element of a weight that is not finite, in its file or,
/// of a matrix that is not trained, in the bf16 that it is kept as.
void refuse_non_finite(const Weight& weight, Part part, Format base, Profile profile);

/// Rotated int8 blocks of a matrix, with the scales that kernels::QuantiseRotated makes.
struct RotatedBuffers {
  device::Buffer quants, by_rows, by_columns;
};

/// Memory in which frozen matrices are expanded, a band of their rows at a time: for one product,
/// or on their way to the device.
struct Bands {
  /// For bands of `elements` elements, rows and columns counted in whole groups of 128; of NF4 also
  /// as the products take them.
  Bands(device::Device& device, std::uint64_t elements, Format format, Profile profile);
  static std::uint64_t bytes(std::uint64_t elements, Format format, Profile profile);

  /// Of a matrix of `cols` columns: a multiple of 128, and about 2^24 elements.
  static std::uint64_t rows(std::uint64_t cols);

  device::Device& device;
  device::Buffer values;
  RotatedBuffers blocks;
  device::Buffer halves;
};

/// W [out, in] of a linear map, or an embedding table, that is not trained. How it is kept, with
/// the bytes of an element, and multiplied:
///   f32x       fp32, 4; bf16, 2, and NF4, 0.516, which are expanded to fp32 by bands
///   i8x, i8x2  rotated int8 of the values in fp32 or bf16, 1.06; NF4, 0.516, made so by bands
///   native     bf16 of the values in fp32 or bf16, 2; NF4, 0.516, made so by bands
/// Bands change no bit: an element of a product is one chain over them, and each block of 128 x 128
/// is rotated alone.
class FrozenMatrix {
 public:
  /// Of a weight [out, in] or, with `conv1d`, [in, out]. The bands must outlive it.
  FrozenMatrix(Bands& bands, const Weight& weight, Format format, Profile profile, bool conv1d);

  /// y = x W^T.
  void multiply(Room& room, const kernels::Matrix& x, const kernels::Matrix& y) const;
  /// dx += dy W.
  void multiply_back(Room& room, const kernels::Matrix& dy, const kernels::Matrix& dx) const;
  /// Row i of `to`, which has no gaps, becomes row index[i] of the weight: not of one that is
  /// rotated, nor of NF4.
  void gather(Room& room, std::span<const std::uint32_t> index, const kernels::Matrix& to) const;

  /// Of the device's memory, beside the bands.
  static std::uint64_t bytes(std::uint64_t rows, std::uint64_t cols, Format format,
                             Profile profile);

 private:
  struct Rotated {
    kernels::Quantised by_rows, by_columns;  ///< grouped along the columns, along the rows
  };

  void store(const Weight& weight);
  void store_nf4(const Weight& weight);
  void quantise(const kernels::Matrix& values, const Rotated& to) const;
  Rotated rotated_in(const RotatedBuffers& buffers, std::uint64_t first, std::uint64_t count) const;
  /// Rows of the weight as they are stored, in fp32 and in int8: in the bands, or its own.
  kernels::Matrix values(std::uint64_t first, std::uint64_t count) const;
  Rotated rotated(std::uint64_t first, std::uint64_t count) const;
  /// Calls work(first, count) for as many rows at a time as the weight is multiplied with.
  template <class Work>
  void each_band(Work work) const;
  /// c += a S^T or, unless `transposed`, a S, with S the weight as it is stored.
  void chains(bool transposed, const kernels::Matrix& a, const kernels::Matrix& c) const;
  void halves(bool transposed, const kernels::Matrix& a, const kernels::Matrix& c) const;
  void groups(bool transposed, const kernels::Quantised& a, const kernels::Matrix& c) const;
  /// The weight, in bf16.
  kernels::Matrix narrow(std::uint64_t first, std::uint64_t count) const;
  /// The same of rotated int8, not yet rotated back.
  kernels::Matrix product(Room& room, bool transposed, const kernels::Matrix& a) const;

  Bands& bands_;
  std::uint64_t rows_, cols_;  ///< of the weight as it is stored
  Format format_;
  Profile profile_;
  bool conv1d_;
  device::Buffer values_;          ///< fp32, bf16, or the nibbles of NF4
  device::Buffer codes_, scales_;  ///< of NF4
  float offset_ = 0;
  RotatedBuffers blocks_;
};

/// How large the bands of a model must be, in elements; 0: there are none.
std::uint64_t band_elements(const Architecture& architecture, Format format, Profile profile,
                            std::span<const TrainedTensor> trained);
/// Bytes of the device's memory that all takes which is not trained, and the bands.
std::uint64_t frozen_bytes(const Architecture& architecture, Format format, Profile profile,
                           std::span<const TrainedTensor> trained);

}  // namespace volt::lm
