// SPDX-License-Identifier: Apache-2.0
#include "libvolt/lm/frozen.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/exact.hpp"
#include "kernels/network.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/lm/nf4.hpp"

namespace volt::lm {
namespace {

using kernels::Backend;
using kernels::Form;
using kernels::Given;
using kernels::Matrix;
using kernels::Network;
using kernels::Quantised;

constexpr std::uint64_t usual_band = std::uint64_t{1} << 24;

template <class T>
void upload(device::Device& device, const device::Buffer& to, std::uint64_t first,
            const std::vector<T>& values) {
  device.call(&Backend::upload, to.get(), sizeof(T) * first, values.data(),
              std::uint64_t{sizeof(T) * values.size()});
}

template <class T>
device::Buffer uploaded(device::Device& device, const std::vector<T>& values) {
  device::Buffer buffer = device.create(sizeof(T) * values.size());
  upload(device, buffer, 0, values);
  return buffer;
}

/// In whole groups, as both layouts of the scales have it: one for 128 elements.
RotatedBuffers rotated_buffers(device::Device& device, std::uint64_t elements) {
  const std::uint64_t scales = 4 * (elements / kernels::group);
  return {device.create(elements), device.create(scales), device.create(scales)};
}

std::uint64_t rotated_bytes(std::uint64_t elements) {
  return elements + 2 * (4 * (elements / kernels::group));
}

Matrix row_of_bytes(const device::Buffer& buffer, std::uint64_t first, std::uint64_t count) {
  return {buffer.get(), first, 1, count, count};
}

/// As a weight of `format` is kept, but for what is rotated.
Format kept_format(Format format, Profile profile) {
  return profile == Profile::native && format == Format::fp32 ? Format::bf16 : format;
}

/// Of which nothing has to be expanded for a product, where it is not rotated.
Format multiplied_format(Profile profile) {
  return profile == Profile::native ? Format::bf16 : Format::fp32;
}

/// A matrix that is kept, and whether it is multiplied with.
struct Kept {
  std::uint64_t rows, cols;
  Format format;
  Profile profile;
  bool multiplied = true;

  std::uint64_t band() const {
    const bool whole =
        !rotates(profile) && kept_format(format, profile) == multiplied_format(profile);
    return !multiplied || whole ? 0 : std::min(padded(rows), Bands::rows(cols)) * padded(cols);
  }
};

/// A tied head is the token embedding itself, or a rotated copy of it.
std::vector<Kept> kept_of(const Architecture& architecture, Format base, Profile profile,
                          std::span<const TrainedTensor> trained) {
  std::vector<Kept> all;
  for (const auto& [slot, name, shape] : parameters_of(architecture)) {
    const bool is_trained = std::ranges::any_of(trained, [&, wanted = slot](const auto& tensor) {
      return tensor.role == TrainedTensor::Role::whole && tensor.slot == wanted;
    });
    if (is_trained) continue;
    if (shape.size() == 1) {
      all.push_back({1, shape[0], Format::fp32, Profile::f32x, false});
      continue;
    }
    const Format format = format_of(slot.part, base);
    const bool tokens = slot.part == Part::token_embedding;
    const bool table = tokens || slot.part == Part::position_embedding;
    const bool tied = tokens && architecture.tied;
    if (table) {
      all.push_back({shape[0], shape[1], format, of_tables(profile), tied && !rotates(profile)});
    }
    if (!table || (tied && rotates(profile))) all.push_back({shape[0], shape[1], format, profile});
  }
  return all;
}

}  // namespace

Profile profile_named(std::string_view name) {
  return name == "f32x"     ? Profile::f32x
         : name == "i8x2"   ? Profile::i8x2
         : name == "native" ? Profile::native
                            : Profile::i8x;
}

Format format_named(std::string_view name) {
  return name == "nf4" ? Format::nf4 : name == "bf16" ? Format::bf16 : Format::fp32;
}

Format format_of(Part part, Format base) {
  return base == Format::nf4 && !is_linear(part) ? Format::bf16 : base;
}

void refuse_non_finite(const Weight& weight, Part part, Format base, Profile profile) {
  refuse_non_finite(weight);
  const auto& of = weight.description;
  const bool rounded =
      of.shape.size() == 2 && kept_format(format_of(part, base), profile) == Format::bf16;
  if (!rounded || of.dtype != tensor::Dtype::f32) return;  // fp16 has no such numbers
  std::vector<float> values;
  for (std::uint64_t first = 0; first < of.elements(); first += values.size()) {
    values.resize(std::min<std::uint64_t>(std::uint64_t{1} << 16, of.elements() - first));
    read_floats(weight, first, values);
    const auto beyond = std::ranges::find_if(values, [](float value) {
      return std::isinf(kernels::from_bf16(kernels::to_bf16(value)));
    });
    if (beyond == values.end()) continue;
    const auto at = first + static_cast<std::uint64_t>(beyond - values.begin());
    throw Error(Exit::usage,
                printable(weight.file) + ": tensor \"" + printable(weight.name) +
                    "\" is larger than bf16 holds at element " + std::to_string(at),
                base == Format::fp32 ? "use profile = \"i8x\"" : "use base_format = \"fp32\"");
  }
}

Bands::Bands(device::Device& on, std::uint64_t elements, Format format, Profile profile)
    : device(on), values(on.create(4 * elements)) {
  if (format != Format::nf4) return;
  if (rotates(profile)) blocks = rotated_buffers(on, elements);
  if (profile == Profile::native) halves = on.create(2 * elements);
}

std::uint64_t Bands::bytes(std::uint64_t elements, Format format, Profile profile) {
  if (format != Format::nf4 || profile == Profile::f32x) return 4 * elements;
  return 4 * elements + (rotates(profile) ? rotated_bytes(elements) : 2 * elements);
}

std::uint64_t Bands::rows(std::uint64_t cols) {
  const std::uint64_t groups = usual_band / padded(cols) / kernels::group;
  return std::max<std::uint64_t>(1, groups) * kernels::group;
}

FrozenMatrix::FrozenMatrix(Bands& bands, const Weight& weight, Format format, Profile profile,
                           bool conv1d)
    : bands_(bands),
      rows_(weight.description.shape[0]),
      cols_(weight.description.shape[1]),
      format_(kept_format(format, profile)),
      profile_(profile),
      conv1d_(conv1d) {
  format_ == Format::nf4 ? store_nf4(weight) : store(weight);
}

void FrozenMatrix::store(const Weight& weight) {
  device::Device& device = bands_.device;
  const bool rotated = rotates(profile_), rounded = format_ == Format::bf16;
  if (rotated) {
    blocks_ = rotated_buffers(device, padded(rows_) * padded(cols_));
  } else {
    values_ = device.create(bytes(rows_, cols_, format_, profile_));
  }
  std::vector<float> values;
  for (std::uint64_t first = 0; first < rows_; first += Bands::rows(cols_)) {
    const std::uint64_t count = std::min(Bands::rows(cols_), rows_ - first);
    values.resize(count * cols_);
    read_floats(weight, first * cols_, values);
    if (rotated) {
      if (rounded) {
        for (float& value : values) value = kernels::from_bf16(kernels::to_bf16(value));
      }
      upload(device, bands_.values, 0, values);
      quantise({bands_.values.get(), 0, count, cols_, cols_}, rotated_in(blocks_, first, count));
    } else if (rounded) {
      std::vector<std::uint16_t> halves;
      for (const float value : values) halves.push_back(kernels::to_bf16(value));
      upload(device, values_, first * cols_, halves);
    } else {
      upload(device, values_, first * cols_, values);
    }
  }
}

void FrozenMatrix::store_nf4(const Weight& weight) {
  const Nf4 nf4 = quantise_nf4(weight);
  values_ = uploaded(bands_.device, nf4.nibbles);
  codes_ = uploaded(bands_.device, nf4.codes);
  scales_ = uploaded(bands_.device, nf4.scales);
  offset_ = nf4.offset;
}

void FrozenMatrix::quantise(const Matrix& values, const Rotated& to) const {
  // Along `in` first.
  bands_.device.call(&Network::quantise_rotated,
                     kernels::QuantiseRotated<Given>{values, conv1d_, to.by_rows.q,
                                                     to.by_rows.scales, to.by_columns.scales});
}

FrozenMatrix::Rotated FrozenMatrix::rotated_in(const RotatedBuffers& buffers, std::uint64_t first,
                                               std::uint64_t count) const {
  const std::uint64_t rows = padded(count), cols = padded(cols_), across = groups_of(cols_);
  const Matrix q = {buffers.quants.get(), first * cols, rows, cols, cols};
  const Matrix by_rows = {buffers.by_rows.get(), first * across, rows, across, across};
  const Matrix by_columns = {buffers.by_columns.get(), first / kernels::group * cols,
                             groups_of(count), cols, cols};
  return {{q, by_rows, Quantised::along_cols}, {q, by_columns, Quantised::along_rows}};
}

Matrix FrozenMatrix::values(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t from = first * cols_, elements = count * cols_;
  if (format_ == Format::fp32) return {values_.get(), from, count, cols_, cols_};
  const Matrix band = {bands_.values.get(), 0, count, cols_, cols_};
  if (format_ == Format::bf16) {
    bands_.device.call(&Backend::map, kernels::Function::from_bf16,
                       static_cast<const kernels::Buffer*>(values_.get()), from, band.buffer,
                       band.offset, elements);
    return band;
  }
  // A band begins with a block, since it has whole groups of rows before it.
  const std::uint64_t before = from / kernels::nf4_block;
  const std::uint64_t blocks = (elements + kernels::nf4_block - 1) / kernels::nf4_block;
  const std::uint64_t scales = (before + blocks + kernels::nf4_group - 1) / kernels::nf4_group;
  bands_.device.call(&Network::expand_nf4,
                     kernels::ExpandNf4<Given>{band,
                                               row_of_bytes(values_, from / 2, (elements + 1) / 2),
                                               row_of_bytes(codes_, before, blocks),
                                               {scales_.get(), 0, 1, scales, scales},
                                               offset_,
                                               before});
  return band;
}

FrozenMatrix::Rotated FrozenMatrix::rotated(std::uint64_t first, std::uint64_t count) const {
  if (format_ != Format::nf4) return rotated_in(blocks_, first, count);
  const Rotated band = rotated_in(bands_.blocks, 0, count);
  quantise(values(first, count), band);
  return band;
}

template <class Work>
void FrozenMatrix::each_band(Work work) const {
  const bool at_hand =
      rotates(profile_) ? format_ != Format::nf4 : format_ == multiplied_format(profile_);
  const std::uint64_t most = at_hand ? rows_ : Bands::rows(cols_);
  for (std::uint64_t first = 0; first < rows_; first += most) {
    work(first, std::min(most, rows_ - first));
  }
}

void FrozenMatrix::chains(bool transposed, const Matrix& a, const Matrix& c) const {
  each_band([&](std::uint64_t first, std::uint64_t count) {
    const Matrix band = values(first, count);
    if (transposed) {
      bands_.device.call(&Backend::matmul_f32x, Form::abt, a, band, columns(c, first, count));
    } else {
      bands_.device.call(&Backend::matmul_f32x, Form::ab, columns(a, first, count), band, c);
    }
  });
}

Matrix FrozenMatrix::narrow(std::uint64_t first, std::uint64_t count) const {
  if (format_ == Format::bf16) return {values_.get(), first * cols_, count, cols_, cols_};
  const Matrix band = {bands_.halves.get(), 0, count, cols_, cols_};
  bands_.device.call(&Network::narrow, kernels::Narrow<Given>{values(first, count), band});
  return band;
}

void FrozenMatrix::halves(bool transposed, const Matrix& a, const Matrix& c) const {
  each_band([&](std::uint64_t first, std::uint64_t count) {
    const Matrix band = narrow(first, count);
    if (transposed) {
      bands_.device.call(&Backend::matmul_bf16, Form::abt, a, band, columns(c, first, count));
    } else {
      bands_.device.call(&Backend::matmul_bf16, Form::ab, columns(a, first, count), band, c);
    }
  });
}

void FrozenMatrix::groups(bool transposed, const Quantised& a, const Matrix& c) const {
  each_band([&](std::uint64_t first, std::uint64_t count) {
    const Rotated band = rotated(first, count);
    if (transposed) {
      bands_.device.call(&Backend::matmul_i8x, Form::abt, a, band.by_rows,
                         columns(c, first, padded(count)));
    } else {
      const Quantised part = {columns(a.q, first, padded(count)),
                              columns(a.scales, first / kernels::group, groups_of(count)), a.axis};
      bands_.device.call(&Backend::matmul_i8x, Form::ab, part, band.by_columns, c);
    }
  });
}

Matrix FrozenMatrix::product(Room& room, bool transposed, const Matrix& a) const {
  const Matrix turned = room.place(0, a.rows, padded(a.cols));
  bands_.device.call(&Network::rotate, kernels::Rotate<Given>{a, turned, 1.0F, false});
  const kernels::Quantised quantised = room.quantised(turned);
  const Matrix result = room.zeroed(0, a.rows, padded(transposed ? rows_ : cols_));
  groups(transposed, quantised, result);
  return result;
}

void FrozenMatrix::multiply(Room& room, const Matrix& x, const Matrix& y) const {
  const bool transposed = !conv1d_;
  if (!rotates(profile_)) {
    room.zero(y);
    return profile_ == Profile::native ? halves(transposed, room.halves(0, x), y)
                                       : chains(transposed, x, y);
  }
  const Matrix turned = product(room, transposed, x);
  bands_.device.call(&Network::rotate, kernels::Rotate<Given>{turned, y, 1.0F, true});
}

void FrozenMatrix::multiply_back(Room& room, const Matrix& dy, const Matrix& dx) const {
  const bool transposed = conv1d_;
  if (profile_ == Profile::f32x) return chains(transposed, dy, dx);
  if (profile_ == Profile::native) return halves(transposed, room.halves(0, dy), dx);
  const Matrix turned = product(room, transposed, dy);
  bands_.device.call(&Network::rotate, kernels::Rotate<Given>{turned, turned, 1.0F, true});
  bands_.device.call(&Network::add, kernels::Add<Given>{columns(turned, 0, dx.cols), dx});
}

void FrozenMatrix::gather(Room& room, std::span<const std::uint32_t> index,
                          const Matrix& to) const {
  const std::vector<std::uint64_t> lines(index.begin(), index.end());
  const auto select = [&](std::uint32_t width, std::uint64_t cols, const Matrix& target) {
    const Matrix table = {values_.get(), 0, rows_, cols, cols};
    bands_.device.call(&Backend::select, kernels::Lines::rows, width, table, lines.data(), target);
  };
  if (format_ == Format::fp32) return select(4, cols_, to);
  const std::uint64_t bytes = 2 * cols_;
  const Matrix halves = {room.place(0, 0, 0).buffer, 0, index.size(), bytes, bytes};
  select(1, bytes, halves);
  bands_.device.call(&Backend::map, kernels::Function::from_bf16,
                     static_cast<const kernels::Buffer*>(halves.buffer), std::uint64_t{0},
                     to.buffer, to.offset, to.rows * to.cols);
}

std::uint64_t FrozenMatrix::bytes(std::uint64_t rows, std::uint64_t cols, Format format,
                                  Profile profile) {
  if (format == Format::nf4) return Nf4::bytes(rows * cols);
  if (rotates(profile)) return rotated_bytes(padded(rows) * padded(cols));
  return (kept_format(format, profile) == Format::fp32 ? 4 : 2) * rows * cols;
}

std::uint64_t band_elements(const Architecture& architecture, Format format, Profile profile,
                            std::span<const TrainedTensor> trained) {
  std::uint64_t elements = 0;
  for (const Kept& kept : kept_of(architecture, format, profile, trained)) {
    elements = std::max(elements, kept.band());
  }
  return elements;
}

std::uint64_t frozen_bytes(const Architecture& architecture, Format format, Profile profile,
                           std::span<const TrainedTensor> trained) {
  std::uint64_t bytes =
      Bands::bytes(band_elements(architecture, format, profile, trained), format, profile);
  for (const Kept& kept : kept_of(architecture, format, profile, trained)) {
    bytes += FrozenMatrix::bytes(kept.rows, kept.cols, kept.format, kept.profile);
  }
  return bytes;
}

}  // namespace volt::lm
