// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "kernels/network.hpp"
#include "race.hpp"
#include "speed.hpp"

namespace volt::gpu {
namespace {

using kernels::Buffer;
using kernels::Form;
using kernels::Matrix;
using kernels::Quantised;
using kernels::QuantisedLimbs;

enum class Product { f32x, i8, i8x, i8x2, bf16 };

struct Shape {
  Product product;
  Form form;
  std::uint64_t m, n, k;

  bool k_is_rows_of_a() const { return form == Form::atb; }
  bool k_is_rows_of_b() const { return form != Form::abt; }
  std::uint64_t elements() const { return m * k + n * k; }
};

const char* name_of(Product product) {
  constexpr const char* names[] = {"f32x", "i8", "i8x", "i8x2", "bf16"};
  return names[static_cast<int>(product)];
}

PeerKind peer_of(Product product) {
  return product == Product::i8                                ? PeerKind::i8
         : product == Product::i8x || product == Product::bf16 ? PeerKind::bf16
                                                               : PeerKind::f32;
}

// cuBLASLt knows int8 in one form alone; the data is random, so that another does for all.
Form peer_form(const Shape& s) { return s.product == Product::i8 ? Form::abt : s.form; }

std::string text_of(const Shape& s) {
  static const char* const forms[] = {"ab", "abt", "atb"};
  return std::string(forms[static_cast<int>(s.form)]) + " " + std::to_string(s.m) + "x" +
         std::to_string(s.n) + "x" + std::to_string(s.k);
}

// Our side of a race: operands on the device, as many sets as asked for.
class Ours {
 public:
  Ours(Device& device, const Shape& shape, unsigned sets)
      : device_(device), shape_(shape), buffers_(device) {
    for (unsigned i = 0; i < sets; ++i) {
      sets_.push_back({operand(shape.k_is_rows_of_a(), shape.m, 2 * i),
                       operand(shape.k_is_rows_of_b(), shape.n, 2 * i + 1),
                       matrix(4, shape.m, shape.n)});
    }
  }

  void start(unsigned set) {
    const Set& s = sets_[set];
    const kernels::Backend& table = device_.table;
    if (shape_.product == Product::f32x) {
      check(table.matmul_f32x(device_.context, shape_.form, s.a.x, s.b.x, s.c));
    } else if (shape_.product == Product::i8) {
      check(table.matmul_i8(device_.context, shape_.form, s.a.x, s.b.x, s.c));
    } else if (shape_.product == Product::bf16) {
      check(table.matmul_bf16(device_.context, shape_.form, s.a.halves, s.b.halves, s.c));
    } else if (shape_.product == Product::i8x) {
      check(table.matmul_i8x(device_.context, shape_.form, s.a.q, s.b.q, s.c));
    } else {
      check(table.matmul_i8x2(device_.context, shape_.form, limbs(s.a), limbs(s.b), s.c));
    }
  }

  /// The last result's last byte comes after all of them.
  void wait() {
    std::uint8_t byte;
    const Matrix& c = sets_.back().c;
    check(device_.table.download(device_.context, c.buffer, 4 * c.rows * c.cols - 1, &byte, 1));
  }

  /// The operands as the peer takes them.
  void give(PeerProduct& peer) {
    for (unsigned i = 0; i < sets_.size(); ++i) {
      peer.put(i, given(sets_[i].a.x), given(sets_[i].b.x));
    }
  }

 private:
  struct Operand {
    Matrix x;       // of i8x, i8x2 and bf16: the fp32 values
    Quantised q;    // of i8x, and of i8x2 the high limbs
    Matrix low;     // of i8x2
    Matrix halves;  // of bf16
  };
  struct Set {
    Operand a, b;
    Matrix c;
  };

  static QuantisedLimbs limbs(const Operand& x) { return {x.q.q, x.low, x.q.scales, x.q.axis}; }

  Matrix matrix(std::uint64_t width, std::uint64_t rows, std::uint64_t cols) {
    return {buffers_.room(width * rows * cols), 0, rows, cols, cols};
  }

  Operand operand(bool k_is_rows, std::uint64_t lines, std::uint32_t stream) {
    const std::uint64_t rows = k_is_rows ? shape_.k : lines, cols = k_is_rows ? lines : shape_.k;
    const kernels::Backend& table = device_.table;
    Operand made;
    if (shape_.product == Product::i8) {
      made.x = matrix(1, rows, cols);
      check(table.fill_i8(device_.context, made.x.buffer, 0, rows * cols, 7, stream, 0));
      return made;
    }
    made.x = matrix(4, rows, cols);
    check(table.fill_f32(device_.context, made.x.buffer, 0, rows * cols, 7, stream, 0));
    if (shape_.product == Product::bf16) {
      made.halves = matrix(2, rows, cols);
      check(table.network->narrow(device_.context, {made.x, made.halves}));
    } else if (shape_.product != Product::f32x) {
      quantise(made, k_is_rows);
    }
    return made;
  }

  void quantise(Operand& made, bool k_is_rows) {
    const auto groups = [](std::uint64_t n) { return (n + kernels::group - 1) / kernels::group; };
    const std::uint64_t rows = made.x.rows, cols = made.x.cols;
    made.q = {matrix(1, rows, cols),
              k_is_rows ? matrix(4, groups(rows), cols) : matrix(4, rows, groups(cols)),
              k_is_rows ? Quantised::along_rows : Quantised::along_cols};
    if (shape_.product == Product::i8x) {
      check(device_.table.quantise(device_.context, made.x, made.q));
      return;
    }
    made.low = matrix(1, rows, cols);
    check(device_.table.quantise_limbs(device_.context, made.x, limbs(made)));
  }

  // bf16 from the fp32 values of i8x and bf16.
  Bytes given(const Matrix& x) {
    const std::uint64_t count = x.rows * x.cols;
    if (shape_.product != Product::i8x && shape_.product != Product::bf16) {
      return buffers_.get(x.buffer, count * (shape_.product == Product::i8 ? 1 : 4));
    }
    Buffers rounded(device_);
    Buffer* const words = rounded.room(2 * count);
    check(device_.table.map(device_.context, kernels::Function::to_bf16, x.buffer, 0, words, 0,
                            count));
    return rounded.get(words, 2 * count);
  }

  Device& device_;
  const Shape shape_;
  Buffers buffers_;
  std::vector<Set> sets_;
};

// What both sides need at most: fp32 operands and what becomes of them, and C twice.
std::uint64_t memory_of(const Shape& s) { return 11 * s.elements() + 8 * s.m * s.n; }

unsigned sets_of(const Shape& s, std::uint64_t cache_bytes) {
  const std::uint64_t width = s.product == Product::f32x ? 4 : s.product == Product::bf16 ? 2 : 1;
  const std::uint64_t bytes = width * s.elements() + 4 * s.m * s.n;
  return static_cast<unsigned>(std::clamp<std::uint64_t>(2 * cache_bytes / bytes + 1, 1, 16));
}

// The peer with its own copies of our operands; null and why, where there is none.
std::unique_ptr<PeerProduct> peer_for(Peers& peers, const Shape& shape, unsigned sets, Ours& ours,
                                      std::string& name) {
  const PeerKind kind = peer_of(shape.product);
  name = peers.missing(kind);
  if (!name.empty()) return nullptr;
  name = peers.name(kind) + (peer_form(shape) == shape.form ? "" : ", abt");
  try {
    auto peer = peers.product(kind, peer_form(shape), shape.m, shape.n, shape.k, sets);
    ours.give(*peer);
    if (peer->ready()) return peer;
    name += ": no algorithm for this shape";
  } catch (const std::runtime_error& error) {
    name += std::string(": ") + error.what();
  }
  return nullptr;
}

bench::Row measure(Device& device, Peers& peers, const Shape& shape, Extent extent) {
  if (memory_of(shape) > peers.free_bytes()) throw std::runtime_error("too little free memory");
  const unsigned sets = sets_of(shape, peers.cache_bytes());
  bench::Row row;
  row.what = name_of(shape.product);
  row.shape = text_of(shape);
  row.unit = "Top/s";
  Ours ours(device, shape, sets);
  const auto product = peer_for(peers, shape, sets, ours, row.peer_name);
  std::optional<Contestant> peer;
  if (product) {
    peer = {[&](unsigned turn) { product->start(turn % sets); }, [&] { peers.wait(); }};
  }
  race(row, 2e-12 * static_cast<double>(shape.m * shape.n) * static_cast<double>(shape.k),
       {[&](unsigned turn) { ours.start(turn % sets); }, [&] { ours.wait(); }}, peer, extent);
  return row;
}

std::vector<Shape> shapes_of(Product product, Extent extent) {
  if (extent == Extent::quick) {
    return {{product, Form::abt, 64, 64, 64}, {product, Form::atb, 16, 64, 128}};
  }
  std::vector<Shape> shapes;
  for (std::uint64_t n = 1024; n <= 16384; n *= 2) shapes.push_back({product, Form::abt, n, n, n});
  shapes.push_back({product, Form::ab, 8192, 8192, 8192});
  shapes.push_back({product, Form::atb, 8192, 8192, 8192});
  shapes.push_back({product, Form::abt, 16, 16384, 16384});   // decoding
  shapes.push_back({product, Form::abt, 2048, 14336, 4096});  // a layer of a network
  shapes.push_back({product, Form::abt, 16384, 64, 16384});
  shapes.push_back({product, Form::atb, 512, 512, 65536});
  return shapes;
}

}  // namespace

void measure_products(Device& device, Peers& peers, Extent extent, std::vector<bench::Row>& rows) {
  for (const Product product :
       {Product::f32x, Product::i8, Product::i8x, Product::i8x2, Product::bf16}) {
    for (const Shape& shape : shapes_of(product, extent)) {
      add_row(rows, std::string(name_of(product)) + " " + text_of(shape),
              [&] { return measure(device, peers, shape, extent); });
    }
  }
}

}  // namespace volt::gpu
