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

// Random elements in memory that ends with them, or begins with them at a multiple of 16 bytes.
template <class T>
struct Elements {
  Elements(const Place& p, std::vector<T> v, bool aligned)
      : place(p), values(std::move(v)), memory((values.size() * sizeof(T) + 15) / 16 * 16) {
    const std::size_t bytes = values.size() * sizeof(T);
    data = reinterpret_cast<T*>(memory.end() - (aligned ? (bytes + 15) / 16 * 16 : bytes));
    reset();
  }
  void reset() { std::memcpy(data, values.data(), values.size() * sizeof(T)); }
  template <class U>
  View<U> view() const {
    if (place.rows * place.cols == 0) return {nullptr, place.rows, place.cols, 0};
    return {data + place.offset, place.rows, place.cols,
            place.rows == 1 ? place.cols : place.stride};
  }
  std::vector<std::uint32_t> bits() const {
    std::vector<std::uint32_t> b(values.size());
    std::memcpy(b.data(), data, b.size() * 4);
    return b;
  }
  Place place;
  std::vector<T> values;
  emulator::Guarded memory;
  T* data;
};

std::vector<float> floats(Random& random, std::uint64_t count, bool wild) {
  static constexpr std::uint32_t odd[] = {0x7f800000, 0xff800000, 0xffc12345, 0x80000000,
                                          0x00000001, 0x807fffff, 0x7f7fffff};
  std::vector<float> values(count);
  for (float& value : values) {
    const std::uint64_t r = random();
    value = static_cast<float>(static_cast<std::int32_t>(r >> 32)) * 0x1p-31f;
    if (wild && r % 64 == 0) value = std::bit_cast<float>(odd[(r >> 8) % std::size(odd)]);
  }
  return values;
}

template <class T>
std::vector<T> integers(Random& random, std::uint64_t count) {
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random());
  return values;
}

bool k_is_rows_of_a(Form f) { return f == Form::atb || f == Form::atb_diagonal; }
bool k_is_rows_of_b(Form f) { return f != Form::abt && f != Form::abt_diagonal; }

struct Shape {
  Form form;
  std::uint64_t m, n, k;
};

struct Case {
  Case(Random& random, const Shape& s, bool aligned, bool wild)
      : shape(s),
        pa(of_a(random, s.k, aligned)),
        pb(of_b(random, s.k, aligned)),
        pc(random, s.m, is_diagonal(s.form) ? 1 : s.n, aligned),
        psa(of_a(random, (s.k + 127) / 128, aligned)),
        psb(of_b(random, (s.k + 127) / 128, aligned)),
        fa(pa, floats(random, pa.count(), wild), aligned),
        fb(pb, floats(random, pb.count(), wild), aligned),
        fc(pc, floats(random, pc.count(), wild), aligned),
        sa(psa, floats(random, psa.count(), wild), aligned),
        sb(psb, floats(random, psb.count(), wild), aligned),
        qa(pa, integers<std::int8_t>(random, pa.count()), aligned),
        qb(pb, integers<std::int8_t>(random, pb.count()), aligned),
        ic(pc, integers<std::int32_t>(random, pc.count()), aligned) {}

  Place of_a(Random& random, std::uint64_t k, bool aligned) const {
    return k_is_rows_of_a(shape.form) ? Place(random, k, shape.m, aligned)
                                      : Place(random, shape.m, k, aligned);
  }
  Place of_b(Random& random, std::uint64_t k, bool aligned) const {
    return k_is_rows_of_b(shape.form) ? Place(random, k, shape.n, aligned)
                                      : Place(random, shape.n, k, aligned);
  }

  // C's bits after each product; the first is wrong if it changes anything but C.
  template <class In, class Out, class Run>
  std::vector<std::uint32_t> reference(const Elements<In>& a, const Elements<In>& b,
                                       const Elements<Out>& c, Run run) const {
    const Backend& backend = cpu_reference();
    Session s(backend);
    Buffer* out = s.put(c.values);
    VOLT_OK(run(s, pa.in(s.put(a.values)), pb.in(s.put(b.values)), pc.in(out)));
    return s.get<std::uint32_t>(out, c.values.size());
  }
  std::vector<std::uint32_t> f32x() const {
    return reference(fa, fb, fc,
                     [&](Session& s, const Matrix& a, const Matrix& b, const Matrix& c) {
                       return s.table.matmul_f32x(s.context, shape.form, a, b, c);
                     });
  }
  std::vector<std::uint32_t> i8() const {
    return reference(qa, qb, ic,
                     [&](Session& s, const Matrix& a, const Matrix& b, const Matrix& c) {
                       return s.table.matmul_i8(s.context, shape.form, a, b, c);
                     });
  }
  std::vector<std::uint32_t> i8x() const {
    return reference(
        qa, qb, fc, [&](Session& s, const Matrix& a, const Matrix& b, const Matrix& c) {
          const auto axis = [](bool k_is_rows) {
            return k_is_rows ? Quantised::along_rows : Quantised::along_cols;
          };
          return s.table.matmul_i8x(s.context, shape.form,
                                    {a, psa.in(s.put(sa.values)), axis(k_is_rows_of_a(shape.form))},
                                    {b, psb.in(s.put(sb.values)), axis(k_is_rows_of_b(shape.form))},
                                    c);
        });
  }

  // The same in the emulator, with so much of the scratch memory that is asked for.
  std::vector<std::uint32_t> f32x(const Products& cuda, Tile tile) {
    fc.reset();
    const Product<float, float> job = {
        shape.form,      shape.m, shape.n, shape.k, fa.view<const float>(), fb.view<const float>(),
        fc.view<float>()};
    VOLT_OK(cuda.f32x(nullptr, job, tile));
    return fc.bits();
  }
  std::vector<std::uint32_t> i8(const Products& cuda, Tile tile, double share = 1) {
    ic.reset();
    const Product<std::int8_t, std::int32_t> job = {shape.form,
                                                    shape.m,
                                                    shape.n,
                                                    shape.k,
                                                    qa.view<const std::int8_t>(),
                                                    qb.view<const std::int8_t>(),
                                                    ic.view<std::int32_t>()};
    const Room room(cuda.i8_scratch(job), share);
    VOLT_OK(cuda.i8(nullptr, job, room.scratch, tile));
    return ic.bits();
  }
  std::vector<std::uint32_t> i8x(const Products& cuda, Tile tile, double share = 1) {
    fc.reset();
    QuantisedProduct job;
    static_cast<Product<std::int8_t, float>&>(job) = {shape.form,
                                                      shape.m,
                                                      shape.n,
                                                      shape.k,
                                                      qa.view<const std::int8_t>(),
                                                      qb.view<const std::int8_t>(),
                                                      fc.view<float>()};
    job.scales_a = sa.view<const float>();
    job.scales_b = sb.view<const float>();
    const Room room(cuda.i8x_scratch(job), share);
    VOLT_OK(cuda.i8x(nullptr, job, room.scratch, tile));
    return fc.bits();
  }

  struct Room {
    Room(std::uint64_t wanted, double share)
        : memory(static_cast<std::size_t>(static_cast<double>(wanted) * share) / 16 * 16),
          scratch{memory.end() -
                      static_cast<std::size_t>(static_cast<double>(wanted) * share) / 16 * 16,
                  static_cast<std::uint64_t>(static_cast<double>(wanted) * share) / 16 * 16} {}
    emulator::Guarded memory;
    Scratch scratch;
  };

  Shape shape;
  Place pa, pb, pc, psa, psb;
  Elements<float> fa, fb, fc, sa, sb;
  Elements<std::int8_t> qa, qb;
  Elements<std::int32_t> ic;
};

constexpr Form forms[] = {Form::ab, Form::abt, Form::atb};
constexpr Tile tiles[] = {Tile::small, Tile::medium, Tile::large};

#define VOLT_SHOW(one)                         \
  CAPTURE(static_cast<int>((one).shape.form)); \
  CAPTURE((one).shape.m);                      \
  CAPTURE((one).shape.n);                      \
  CAPTURE((one).shape.k)

}  // namespace

TEST_CASE("f32x on a GPU gives the reference's bits") {
  static constexpr std::uint64_t depths[] = {0,  1,  2,  15, 16, 17, 31, 32,
                                             33, 47, 48, 49, 64, 77, 100};
  Random random(20240611);
  for (int round = 0; round < 60; ++round) {
    Case one(random, {forms[round % 3], extent(random), extent(random), pick(random, depths)},
             round % 2 == 0, round % 5 == 0);
    VOLT_SHOW(one);
    const auto expected = one.f32x();
    for (const Products* cuda : capabilities) {
      CAPTURE(cuda->name);
      for (Tile tile : tiles) {
        CAPTURE(static_cast<int>(tile));
        CHECK(one.f32x(*cuda, tile) == expected);
      }
    }
  }
}

TEST_CASE("i8 and i8x on a GPU give the reference's bits") {
  static constexpr std::uint64_t depths[] = {0,   1,   15,  16,  17,  127, 128,
                                             129, 144, 255, 256, 300, 513};
  Random random(8);
  for (int round = 0; round < 40; ++round) {
    Case one(random, {forms[round % 3], extent(random), extent(random), pick(random, depths)},
             round % 2 == 0, round % 5 == 0);
    VOLT_SHOW(one);
    const auto i8 = one.i8(), i8x = one.i8x();
    for (const Products* cuda : capabilities) {
      CAPTURE(cuda->name);
      for (Tile tile : tiles) {
        if (cuda == &emulator::products_75 && tile != Tile::small) continue;  // has not the memory
        CAPTURE(static_cast<int>(tile));
        CHECK(one.i8(*cuda, tile) == i8);
        CHECK(one.i8x(*cuda, tile) == i8x);
      }
    }
  }
}

}  // namespace volt::kernels::test
