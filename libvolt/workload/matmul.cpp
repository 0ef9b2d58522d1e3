// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/matmul.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/backend.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/base/quantities.hpp"

namespace volt::workload {
namespace {

using kernels::Backend;
using kernels::Form;
using kernels::Lines;
using kernels::Matrix;
using kernels::Quantised;

/// Philox streams by use; a number once given is never given again.
enum class Stream : std::uint32_t { matmul_a = 1, matmul_b = 2 };

std::uint64_t groups(std::uint64_t k) { return k / kernels::group + (k % kernels::group != 0); }

/// A dense row-major matrix at the start of a buffer.
Matrix whole(const device::Buffer& buffer, std::uint64_t rows, std::uint64_t cols) {
  return {buffer.get(), 0, rows, cols, cols};
}

/// Elements [row, row + rows) x [col, col + cols) of `matrix`.
Matrix part(Matrix matrix, std::uint64_t row, std::uint64_t rows, std::uint64_t col,
            std::uint64_t cols) {
  matrix.offset += row * matrix.stride + col;
  matrix.rows = rows;
  matrix.cols = cols;
  return matrix;
}

float element(const Geometry& geometry, ByteView c, std::uint64_t index) {
  if (geometry.profile == "i8") {
    std::int32_t value = 0;
    std::memcpy(&value, c.data() + 4 * index, 4);
    return static_cast<float>(value);
  }
  float value = 0;
  std::memcpy(&value, c.data() + 4 * index, 4);
  return value;
}

/// 0 (black) to 255 (white).
std::uint8_t grey(float value) {
  if (!(value > 0)) return 0;  // NaN too
  return value >= 255 ? 255 : static_cast<std::uint8_t>(std::rint(value));
}

}  // namespace

tensor::Dtype Geometry::input_dtype() const {
  return profile == "i8" ? tensor::Dtype::i8 : tensor::Dtype::f32;
}

tensor::Description Geometry::output() const {
  return {profile == "i8" ? tensor::Dtype::i32 : tensor::Dtype::f32, {m, n}};
}

double Geometry::multiply_adds() const {
  return static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

Geometry::Line Geometry::row_of_a(std::uint64_t i) const {
  return transpose_a ? Line{i, m} : Line{i * k, 1};
}

Geometry::Line Geometry::column_of_b(std::uint64_t j) const {
  return transpose_b ? Line{j * k, 1} : Line{j, n};
}

Geometry geometry(const schema::Matmul& job, const tensor::Description& a,
                  const tensor::Description& b, Exit code) {
  Geometry g;
  g.transpose_a = job.transpose_a;
  g.transpose_b = job.transpose_b;
  g.profile = job.profile;
  const auto check = [&](const char* name, const tensor::Description& description) {
    if (description.shape.size() != 2) {
      throw Error(
          code,
          std::string("input ") + name + " is " + tensor::to_text(description) + ", not a matrix",
          "reshape it to two dimensions");
    }
    if (description.dtype != g.input_dtype()) {
      throw Error(code,
                  std::string("input ") + name + " is " + tensor::to_text(description) +
                      ", but profile " + g.profile + " multiplies " +
                      std::string(tensor::name_of(g.input_dtype())),
                  g.profile == "i8" ? "save it with .astype('i1')" : "save it with .astype('<f4')");
    }
  };
  check("a", a);
  check("b", b);
  g.m = a.shape[g.transpose_a ? 1 : 0];
  g.k = a.shape[g.transpose_a ? 0 : 1];
  g.n = b.shape[g.transpose_b ? 0 : 1];
  const std::uint64_t k_of_b = b.shape[g.transpose_b ? 1 : 0];
  if (g.k != k_of_b) {
    throw Error(code,
                "a and b do not fit: each row of a has " + std::to_string(g.k) +
                    " elements, each column of b " + std::to_string(k_of_b),
                "a is " + tensor::to_text(a) + " and b is " + tensor::to_text(b) +
                    "; see transpose_a and transpose_b in volt-job(5)");
  }
  if (g.profile == "i8" && g.k > kernels::max_k_i8) {
    throw Error(code, "the profile i8 sums at most 131071 products, not " + std::to_string(g.k),
                "use i8x, whose sums have no such limit");
  }
  tensor::check(g.output(), "the product");
  return g;
}

tensor::Description seeded_description(const schema::Matmul& job, const schema::Seeded& seeded) {
  return {job.profile == "i8" ? tensor::Dtype::i8 : tensor::Dtype::f32, seeded.shape};
}

Bytes generate(const schema::Seeded& seeded, tensor::Dtype dtype, std::string_view operand,
               device::Device& device) {
  const tensor::Description description{dtype, seeded.shape};
  tensor::check(description, operand);
  // The elements live in the host's memory, whatever makes them.
  if (description.bytes() > device.host_memory_limit()) {
    throw Error(Exit::no_device,
                "input " + std::string(operand) + " takes " + format_memory(description.bytes()) +
                    ", the limit is " + format_memory(device.host_memory_limit()),
                "give the job more with [limits] memory, or use a device with more");
  }
  const auto stream =
      static_cast<std::uint32_t>(operand == "a" ? Stream::matmul_a : Stream::matmul_b);
  const std::uint64_t size = tensor::size_of(dtype), count = description.elements();
  const std::uint64_t piece = std::min(count, std::uint64_t{16} << 20);
  const auto buffer = device.create(piece * size);
  Bytes elements(description.bytes());
  for (std::uint64_t first = 0; first < count; first += piece) {
    const std::uint64_t these = std::min(piece, count - first);
    device.call(dtype == tensor::Dtype::i8 ? &Backend::fill_i8 : &Backend::fill_f32, buffer.get(),
                std::uint64_t{0}, these, seeded.seed, stream, first);
    device.download(buffer, elements.data() + first * size, these * size);
  }
  return elements;
}

Product::Product(Geometry geometry, ByteView a, ByteView b, device::Device& device)
    : geometry_(std::move(geometry)),
      form_(geometry_.transpose_a   ? Form::atb
            : geometry_.transpose_b ? Form::abt
                                    : Form::ab),
      device_(device),
      a_(device.borrow(a)),
      b_(device.borrow(b)) {}

Matrix Product::part_of_a(std::uint64_t row, std::uint64_t rows) const {
  const auto& g = geometry_;
  return g.transpose_a ? part(whole(a_, g.k, g.m), 0, g.k, row, rows)
                       : part(whole(a_, g.m, g.k), row, rows, 0, g.k);
}

Matrix Product::part_of_b(std::uint64_t col, std::uint64_t cols) const {
  const auto& g = geometry_;
  return g.transpose_b ? part(whole(b_, g.n, g.k), col, cols, 0, g.k)
                       : part(whole(b_, g.k, g.n), 0, g.k, col, cols);
}

std::uint64_t Product::rows_per_step() const {
  const double multiply_adds = device_.facts().backend == "cuda" ? 4e11 : 5e9;
  const double per_row =
      std::max(1.0, static_cast<double>(geometry_.n) * static_cast<double>(geometry_.k));
  // Below 32 rows the packing of B would cost more than the product.
  const auto rows = static_cast<std::uint64_t>(std::clamp(multiply_adds / per_row, 32.0, 65'536.0));
  // Rows that are very long are few at a time: a step is held in memory.
  constexpr std::uint64_t step_bytes = std::uint64_t{64} << 20;
  const std::uint64_t fitting = step_bytes / std::max<std::uint64_t>(1, 4 * geometry_.n);
  return std::clamp<std::uint64_t>(fitting, 1, rows);
}

void Product::tile(std::uint64_t row, std::uint64_t rows, std::uint64_t col, std::uint64_t cols,
                   std::uint8_t* out) {
  const auto buffer = device_.create(4 * rows * cols);
  const Matrix c = whole(buffer, rows, cols);
  if (geometry_.profile == "i8x") {
    tile_i8x(row, rows, col, cols, c);
  } else {
    device_.call(geometry_.profile == "i8" ? &Backend::matmul_i8 : &Backend::matmul_f32x, form_,
                 part_of_a(row, rows), part_of_b(col, cols), c);
  }
  device_.download(buffer, out, 4 * rows * cols);
}

namespace {

/// Where the int8 form of `x` goes: groups along k, which runs down the rows or along the columns.
Quantised grouped(const Matrix& x, bool k_is_rows, const device::Buffer& quants,
                  const device::Buffer& scales) {
  const Matrix q = whole(quants, x.rows, x.cols);
  return k_is_rows ? Quantised{q, whole(scales, groups(x.rows), x.cols), Quantised::along_rows}
                   : Quantised{q, whole(scales, x.rows, groups(x.cols)), Quantised::along_cols};
}

}  // namespace

Quantised Product::quantise(const Matrix& x, bool k_is_rows, Int8& memory) {
  const std::uint64_t scale_count = k_is_rows ? groups(x.rows) * x.cols : x.rows * groups(x.cols);
  memory.quants = device_.create(x.rows * x.cols);
  memory.scales = device_.create(4 * scale_count);
  const Quantised result = grouped(x, k_is_rows, memory.quants, memory.scales);
  device_.call(&Backend::quantise, x, result);
  return result;
}

void Product::tile_i8x(std::uint64_t row, std::uint64_t rows, std::uint64_t col, std::uint64_t cols,
                       const Matrix& c) {
  Int8 a_memory, b_memory;
  const Quantised a = quantise(part_of_a(row, rows), geometry_.transpose_a, a_memory);
  const Matrix part = part_of_b(col, cols);
  const bool k_is_rows = !geometry_.transpose_b;
  if (cols != geometry_.n) {
    const Quantised b = quantise(part, k_is_rows, b_memory);
    device_.call(&Backend::matmul_i8x, form_, a, b, c);
    return;
  }
  const Quantised b = b_int8_.quants.get() == nullptr
                          ? quantise(part, k_is_rows, b_int8_)
                          : grouped(part, k_is_rows, b_int8_.quants, b_int8_.scales);
  device_.call(&Backend::matmul_i8x, form_, a, b, c);
}

void Product::elements(std::span<const std::uint64_t> units, std::uint8_t* out) {
  constexpr std::uint64_t most_bytes = std::uint64_t{16} << 20;  // of rows of A, and as many of B
  const auto& g = geometry_;
  const std::uint64_t size = tensor::size_of(g.input_dtype());
  const std::uint64_t most =
      std::max<std::uint64_t>(1, most_bytes / std::max<std::uint64_t>(1, size * g.k));
  // By column, since columns are gathered from memory where they lie side by side.
  std::vector<std::size_t> order(units.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return units[a] % g.n < units[b] % g.n; });
  const std::uint64_t room = size * std::min<std::uint64_t>(most, units.size()) * g.k;
  const auto rows_of_a = device_.create(room), columns_of_b = device_.create(room);
  std::vector<std::uint64_t> these;
  std::vector<std::uint8_t> results;
  for (std::size_t first = 0; first < order.size(); first += these.size()) {
    these.clear();
    for (std::size_t i = first; i < std::min<std::size_t>(first + most, order.size()); ++i) {
      these.push_back(units[order[i]]);
    }
    results.resize(4 * these.size());
    diagonal(these, rows_of_a, columns_of_b, results.data());
    for (std::size_t i = 0; i < these.size(); ++i) {
      std::memcpy(out + 4 * order[first + i], results.data() + 4 * i, 4);
    }
  }
}

void Product::diagonal(std::span<const std::uint64_t> units, const device::Buffer& rows_of_a,
                       const device::Buffer& columns_of_b, std::uint8_t* out) {
  const auto& g = geometry_;
  const std::uint64_t count = units.size();
  const auto width = static_cast<std::uint32_t>(tensor::size_of(g.input_dtype()));
  std::vector<std::uint64_t> rows, cols;
  for (const std::uint64_t unit : units) {
    rows.push_back(unit / g.n);
    cols.push_back(unit % g.n);
  }
  // Lines keep the direction in which they are stored.
  const auto select = [&](const Matrix& from, bool as_rows, const std::vector<std::uint64_t>& index,
                          const device::Buffer& memory) {
    const Matrix to = as_rows ? whole(memory, count, g.k) : whole(memory, g.k, count);
    device_.call(&Backend::select, as_rows ? Lines::rows : Lines::columns, width, from,
                 index.data(), to);
    return to;
  };
  const Matrix a = select(part_of_a(0, g.m), !g.transpose_a, rows, rows_of_a);
  const Matrix b = select(part_of_b(0, g.n), g.transpose_b, cols, columns_of_b);
  const Form form = form_ == Form::atb   ? Form::atb_diagonal
                    : form_ == Form::abt ? Form::abt_diagonal
                                         : Form::ab_diagonal;
  const auto result = device_.create(4 * count);
  const Matrix c = whole(result, count, 1);
  if (g.profile == "i8x") {
    Int8 a_int8, b_int8;
    const Quantised x = quantise(a, g.transpose_a, a_int8);
    const Quantised y = quantise(b, !g.transpose_b, b_int8);
    device_.call(&Backend::matmul_i8x, form, x, y, c);
  } else {
    device_.call(g.profile == "i8" ? &Backend::matmul_i8 : &Backend::matmul_f32x, form, a, b, c);
  }
  device_.download(result, out, 4 * count);
}

namespace {

ByteView bytes_of(const auto& values) {
  const auto bytes = std::as_bytes(values);
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

std::vector<std::int32_t> narrow_product(device::Device& device, Form form, ByteView m,
                                         std::uint64_t rows, std::uint64_t cols,
                                         std::uint64_t first, std::uint64_t count,
                                         std::span<const std::int8_t> d, std::uint64_t width) {
  const bool turned = form == Form::atb;
  const std::uint64_t lines = turned ? cols : rows;
  const auto left = device.borrow(m), right = device.borrow(bytes_of(d));
  const auto result = device.create(4 * lines * width);
  const Matrix all = whole(left, rows, cols);
  device.call(&Backend::matmul_i8, form,
              turned ? part(all, first, count, 0, cols) : part(all, 0, rows, first, count),
              part(whole(right, d.size() / width, width), first, count, 0, width),
              whole(result, lines, width));
  std::vector<std::int32_t> out(lines * width);
  device.download(result, reinterpret_cast<std::uint8_t*>(out.data()), 4 * out.size());
  return out;
}

std::vector<std::array<WideSum, 2>> weighted_sums(
    device::Device& device, ByteView m, std::uint64_t rows, std::uint64_t cols,
    std::span<const std::array<std::uint64_t, 2>> weights) {
  std::vector<std::array<WideSum, 2>> sums(rows);
  const std::uint64_t bytes = rows * sizeof sums[0];
  const auto x = device.borrow(m), w = device.borrow(bytes_of(weights));
  const auto result = device.create(bytes);
  device.call(&Backend::weigh, whole(x, rows, cols), whole(w, cols, 2), whole(result, rows, 4));
  device.download(result, reinterpret_cast<std::uint8_t*>(sums.data()), bytes);
  return sums;
}

std::string graymap(const Geometry& geometry, ByteView c) {
  std::string picture =
      "P5\n" + std::to_string(geometry.n) + " " + std::to_string(geometry.m) + "\n255\n";
  picture.reserve(picture.size() + geometry.units());
  for (std::uint64_t i = 0; i < geometry.units(); ++i) {
    picture += static_cast<char>(grey(element(geometry, c, i)));
  }
  return picture;
}

std::string sketch(const Geometry& geometry, ByteView c, std::uint64_t columns) {
  constexpr std::string_view ramp = " .:-=+*#%@";
  if (geometry.units() == 0) return {};
  // A character is about twice as high as wide; tall pictures get narrower rather than longer.
  std::uint64_t width = std::min(columns, geometry.n);
  std::uint64_t height = std::max<std::uint64_t>(1, geometry.m * width / (2 * geometry.n));
  if (height > columns) {
    width = std::max<std::uint64_t>(1, width * columns / height);
    height = columns;
  }
  std::string text;
  for (std::uint64_t y = 0; y < height; ++y) {
    for (std::uint64_t x = 0; x < width; ++x) {
      double sum = 0;
      std::uint64_t count = 0;
      for (std::uint64_t i = y * geometry.m / height; i < (y + 1) * geometry.m / height; ++i) {
        for (std::uint64_t j = x * geometry.n / width; j < (x + 1) * geometry.n / width; ++j) {
          sum += grey(element(geometry, c, i * geometry.n + j));
          ++count;
        }
      }
      const double mean = count == 0 ? 0 : sum / static_cast<double>(count);
      text += ramp[static_cast<std::size_t>(mean / 256 * static_cast<double>(ramp.size()))];
    }
    if (y + 1 < height) text += '\n';
  }
  return text;
}

}  // namespace volt::workload
