// SPDX-License-Identifier: Apache-2.0

// The CUDA products without a GPU: block by block in the emulator, every compute capability's ways
// and every tile, bit for bit against the reference.

#include <algorithm>
#include <cstring>
#include <memory>

#include "emulator/guarded.hpp"
#include "emulator/products.hpp"
#include "support.hpp"

namespace volt::kernels::test {
namespace {

using emulator::Products;
using Random = std::mt19937_64;

const Products* const capabilities[] = {&emulator::products_75, &emulator::products_80};

std::uint64_t below(Random& random, std::uint64_t n) { return random() % n; }

template <std::size_t n>
std::uint64_t pick(Random& random, const std::uint64_t (&from)[n]) {
  return from[below(random, n)];
}

// Fewer than, as many as and more than a block takes.
std::uint64_t extent(Random& random) {
  static constexpr std::uint64_t edges[] = {1,  2,  7,   31,  32,  33,  63, 64,
                                            65, 96, 127, 128, 129, 193, 260};
  return pick(random, edges);
}

// Where a matrix lies: anywhere, or so that 16 bytes can be read at once.
struct Place {
  Place(Random& random, std::uint64_t r, std::uint64_t c, bool aligned) : rows(r), cols(c) {
    stride = aligned ? (c + 15) / 16 * 16 : c + below(random, 3) * below(random, 9);
    offset = aligned ? 0 : below(random, 5);
  }
  std::uint64_t count() const { return rows * cols == 0 ? 0 : offset + (rows - 1) * stride + cols; }
  Matrix in(Buffer* buffer) const { return {buffer, offset, rows, cols, stride}; }
  std::uint64_t rows, cols, stride, offset;
};

float random_value(Random& random, bool wild, float) {
  static constexpr std::uint32_t odd[] = {0x7f800000, 0xff800000, 0xffc12345, 0x80000000,
                                          0x00000001, 0x807fffff, 0x7f7fffff};
  const std::uint64_t r = random();
  if (wild && r % 64 == 0) return std::bit_cast<float>(odd[(r >> 8) % std::size(odd)]);
  return static_cast<float>(static_cast<std::int32_t>(r >> 32)) * 0x1p-31f;
}
template <class T>
T random_value(Random& random, bool, T) {
  return static_cast<T>(random());
}

using Bits = std::vector<std::uint32_t>;

// Elements in memory that ends where they do, or that begins at a multiple of 16 bytes.
template <class T>
struct Elements {
  Elements(const Place& p, Random& random, bool wild, bool aligned)
      : place(p), values(p.count()), memory(p.count() * sizeof(T)) {
    for (T& value : values) value = random_value(random, wild, T());
    const std::size_t bytes = values.size() * sizeof(T);
    data = reinterpret_cast<T*>(memory.end() - (aligned ? (bytes + 15) / 16 * 16 : bytes));
    reset();
  }
  void reset() { std::copy(values.begin(), values.end(), data); }
  Matrix in(Session& session) const { return place.in(session.put(values)); }
  template <class U>
  View<U> view() const {
    if (values.empty()) return {nullptr, place.rows, place.cols, 0};
    return {data + place.offset, place.rows, place.cols, place.stride};
  }
  Bits bits() const {
    Bits all(values.size());
    std::memcpy(all.data(), data, all.size() * sizeof(T));
    return all;
  }
  Place place;
  std::vector<T> values;
  emulator::Guarded memory;
  T* data;
};

struct Room {
  Room(std::uint64_t wanted, double share)
      : bytes(static_cast<std::uint64_t>(static_cast<double>(wanted) * share) / 16 * 16),
        memory(bytes),
        scratch{memory.end() - bytes, bytes} {}
  std::uint64_t bytes;
  emulator::Guarded memory;
  Scratch scratch;
};

struct Shape {
  Form form;
  std::uint64_t m, n, k;
};

struct Case {
  Case(Random& random, const Shape& s, bool aligned, bool wild)
      : shape(s),
        fa(of_a(random, s.k, aligned), random, wild, aligned),
        fb(of_b(random, s.k, aligned), random, wild, aligned),
        fc({random, s.m, is_diagonal(s.form) ? 1 : s.n, aligned}, random, wild, aligned),
        sa(of_a(random, (s.k + 127) / 128, aligned), random, wild, aligned),
        sb(of_b(random, (s.k + 127) / 128, aligned), random, wild, aligned),
        qa(fa.place, random, wild, aligned),
        qb(fb.place, random, wild, aligned),
        la(fa.place, random, wild, aligned),
        lb(fb.place, random, wild, aligned),
        ic(fc.place, random, wild, aligned) {}

  Place of_a(Random& random, std::uint64_t k, bool aligned) const {
    return k_is_rows_of_a(shape.form) ? Place(random, k, shape.m, aligned)
                                      : Place(random, shape.m, k, aligned);
  }
  Place of_b(Random& random, std::uint64_t k, bool aligned) const {
    return k_is_rows_of_b(shape.form) ? Place(random, k, shape.n, aligned)
                                      : Place(random, shape.n, k, aligned);
  }

  // What C's memory holds after each product of the reference.
  Bits f32x() const {
    Session s(cpu_reference());
    Buffer* c = s.put(fc.values);
    VOLT_OK(s.table.matmul_f32x(s.context, shape.form, fa.in(s), fb.in(s), fc.place.in(c)));
    return s.get<std::uint32_t>(c, fc.values.size());
  }
  Bits i8() const {
    Session s(cpu_reference());
    Buffer* c = s.put(ic.values);
    VOLT_OK(s.table.matmul_i8(s.context, shape.form, qa.in(s), qb.in(s), ic.place.in(c)));
    return s.get<std::uint32_t>(c, ic.values.size());
  }
  Bits i8x() const {
    Session s(cpu_reference());
    Buffer* c = s.put(fc.values);
    const auto axis = [](bool k_is_rows) {
      return k_is_rows ? Quantised::along_rows : Quantised::along_cols;
    };
    VOLT_OK(s.table.matmul_i8x(
        s.context, shape.form, {qa.in(s), sa.in(s), axis(k_is_rows_of_a(shape.form))},
        {qb.in(s), sb.in(s), axis(k_is_rows_of_b(shape.form))}, fc.place.in(c)));
    return s.get<std::uint32_t>(c, fc.values.size());
  }

  Bits i8x2() const {
    Session s(cpu_reference());
    Buffer* c = s.put(fc.values);
    const auto axis = [](bool k_is_rows) {
      return k_is_rows ? Quantised::along_rows : Quantised::along_cols;
    };
    VOLT_OK(s.table.matmul_i8x2(
        s.context, shape.form, {qa.in(s), la.in(s), sa.in(s), axis(k_is_rows_of_a(shape.form))},
        {qb.in(s), lb.in(s), sb.in(s), axis(k_is_rows_of_b(shape.form))}, fc.place.in(c)));
    return s.get<std::uint32_t>(c, fc.values.size());
  }

  // The same in the emulator, with a share of the scratch memory that is asked for.
  Bits f32x(const Products& cuda, Tile tile) {
    fc.reset();
    VOLT_OK(cuda.f32x(nullptr, product<float, float>(fa, fb, fc), tile));
    return fc.bits();
  }
  Bits i8(const Products& cuda, Tile tile, double share) {
    ic.reset();
    const auto job = product<std::int8_t, std::int32_t>(qa, qb, ic);
    const Room room(cuda.i8_scratch(job), share);
    VOLT_OK(cuda.i8(nullptr, job, room.scratch, tile));
    return ic.bits();
  }
  Bits i8x(const Products& cuda, Tile tile, double share) {
    fc.reset();
    const QuantisedProduct job = {product<std::int8_t, float>(qa, qb, fc), sa.view<const float>(),
                                  sb.view<const float>()};
    const Room room(cuda.i8x_scratch(job), share);
    VOLT_OK(cuda.i8x(nullptr, job, room.scratch, tile));
    return fc.bits();
  }

  Bits i8x2(const Products& cuda) {
    fc.reset();
    LimbsProduct job;
    static_cast<Product<std::int8_t, float>&>(job) = product<std::int8_t, float>(qa, qb, fc);
    job.scales_a = sa.view<const float>(), job.scales_b = sb.view<const float>();
    job.low_a = la.view<const std::int8_t>(), job.low_b = lb.view<const std::int8_t>();
    const Room room(cuda.i8x2_scratch(job), 1);
    VOLT_OK(cuda.i8x2(nullptr, job, room.scratch));
    return fc.bits();
  }

  template <class In, class Out>
  Product<In, Out> product(const Elements<In>& a, const Elements<In>& b,
                           const Elements<Out>& c) const {
    return {shape.form,
            shape.m,
            shape.n,
            shape.k,
            a.template view<const In>(),
            b.template view<const In>(),
            c.template view<Out>()};
  }

  Shape shape;
  Elements<float> fa, fb, fc, sa, sb;
  Elements<std::int8_t> qa, qb, la, lb;  // the last two are low limbs
  Elements<std::int32_t> ic;
};

constexpr Form forms[] = {Form::ab, Form::abt, Form::atb};
constexpr Form diagonals[] = {Form::ab_diagonal, Form::abt_diagonal, Form::atb_diagonal};

// All products of a case with one tile, on each capability.
void check(Case& one, std::initializer_list<Tile> with, double share = 1) {
  CAPTURE(static_cast<int>(one.shape.form));
  CAPTURE(one.shape.m);
  CAPTURE(one.shape.n);
  CAPTURE(one.shape.k);
  const auto f32x = one.f32x(), i8 = one.i8(), i8x = one.i8x();
  const bool has_i8x2 = !is_diagonal(one.shape.form);
  const auto i8x2 = has_i8x2 ? one.i8x2() : Bits();
  for (const Products* cuda : capabilities) {
    CAPTURE(std::string(cuda->name));
    if (has_i8x2) CHECK(one.i8x2(*cuda) == i8x2);
    for (Tile tile : with) {
      CAPTURE(static_cast<int>(tile));
      CHECK(one.f32x(*cuda, tile) == f32x);
      // Larger tiles of int8 take more shared memory than 7.5 has.
      if (cuda == &emulator::products_75 && tile > Tile::small) continue;
      CHECK(one.i8(*cuda, tile, share) == i8);
      CHECK(one.i8x(*cuda, tile, share) == i8x);
    }
  }
}

}  // namespace

TEST_CASE("every tile on every capability multiplies as the reference does") {
  static constexpr std::uint64_t depths[] = {0,  1,   2,   15,  16,  17,  31,  32,  33,  48,  49,
                                             77, 127, 128, 129, 144, 255, 256, 300, 513, 640, 1030};
  Random random(20240611);
  for (int round = 0; round < 60; ++round) {
    Case one(random, {forms[round % 3], extent(random), extent(random), pick(random, depths)},
             round % 2 == 0, round % 5 == 0);
    check(one, {Tile::small, Tile::medium, Tile::large});
  }
}

TEST_CASE("tiles that are chosen by shape, and diagonals") {
  Random random(8);
  for (const auto& [m, n] : {std::pair{1, 700}, std::pair{700, 1}, std::pair{130, 280}}) {
    for (Form form : forms) {
      Case one(random, {form, static_cast<std::uint64_t>(m), static_cast<std::uint64_t>(n), 130},
               true, false);
      check(one, {Tile::by_shape});
    }
  }
  for (Form form : diagonals) {
    Case one(random, {form, 150, 150, 260}, false, true);
    check(one, {Tile::by_shape});
  }
}

TEST_CASE("int8 products go in panels where scratch memory is short") {
  Random random(9);
  for (Form form : forms) {
    for (double share : {0.9, 0.05}) {
      Case one(random, {form, 300, 20, 40}, false, false);
      check(one, {Tile::small}, share);
    }
  }
  Case one(random, {Form::atb, 20, 20, 100}, false, false);
  VOLT_REFUSED(out_of_memory, "no memory left for packed operands",
               emulator::products_80.i8(
                   nullptr, one.product<std::int8_t, std::int32_t>(one.qa, one.qb, one.ic),
                   Scratch{}, Tile::small));
}

// 32 bits address the lanes of a block, of no larger strides.
TEST_CASE("rows that are far apart") {
  constexpr std::uint64_t m = 2, n = 3, k = 20, stride = std::uint64_t{1} << 25;
  const emulator::Guarded far(m * stride * 4);
  auto* a = reinterpret_cast<float*>(far.end() - m * stride * 4);
  auto* q = reinterpret_cast<std::int8_t*>(a);
  float b[n * k], c[m * n] = {};
  std::int8_t p[n * k];
  std::int32_t d[m * n] = {};
  for (std::uint64_t i = 0; i < n * k; ++i)
    b[i] = static_cast<float>(i), p[i] = static_cast<std::int8_t>(i);
  for (const Products* cuda : capabilities) {
    for (std::uint64_t i = 0; i < k; ++i) a[i] = 1, a[stride + i] = static_cast<float>(i);
    VOLT_OK(cuda->f32x(nullptr, {Form::abt, m, n, k, {a, m, k, stride}, {b, n, k, k}, {c, m, n, n}},
                       Tile::large));
    CHECK(c[1] == 590);   // 20 + 21 + ... 39
    CHECK(c[3] == 2470);  // 0 * 0 + 1 * 1 + ... 19 * 19
    for (std::uint64_t i = 0; i < k; ++i) q[i] = 1, q[stride + i] = static_cast<std::int8_t>(i);
    const Product<std::int8_t, std::int32_t> job = {
        Form::abt, m, n, k, {q, m, k, stride}, {p, n, k, k}, {d, m, n, n}};
    const Room room(cuda->i8_scratch(job), 1);
    VOLT_OK(cuda->i8(nullptr, job, room.scratch, Tile::small));
    CHECK(d[1] == 590);
    CHECK(d[3] == 2470);
    std::fill(std::begin(c), std::end(c), 0.0f);
    std::fill(std::begin(d), std::end(d), 0);
  }
}

}  // namespace volt::kernels::test
