// SPDX-License-Identifier: Apache-2.0

// How fast the CPU kernels are beside other people's, and what a receipt and its checks cost beside
// the work: one run, the two sides in turn, medians. Writes docs/measured/-like JSON on request.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <random>
#include <stdexcept>

#include "libvolt/crypto/keys.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/proof/algebra.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/proof/replay.hpp"
#include "peers.hpp"
#include "timing.hpp"

namespace volt::bench {
namespace {

using kernels::Backend;
using kernels::Form;
using kernels::Matrix;
using kernels::Quantised;

std::string shape_text(std::uint64_t m, std::uint64_t n, std::uint64_t k) {
  return std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
}

class Bench {
 public:
  Bench() {
    report_.what = "cpu";
    report_.machine = this_machine();
  }

  const Report& report() const { return report_; }

  void products(unsigned threads);
  void check_costs(unsigned threads);
  void digests(unsigned threads);
  void functions();
  void medians();

 private:
  void product(unsigned threads, std::uint64_t m, std::uint64_t n, std::uint64_t k);
  void add(Row row) { report_.rows.push_back(std::move(row)); }

  Report report_;
  OpenBlas blas_ = open_blas();
  OneDnn dnn_ = one_dnn();
};

// Memory as the data of a mapped .npy file lie, and as every library likes it best.
template <class T>
struct Aligned {
  using value_type = T;
  static constexpr std::align_val_t line{64};
  Aligned() = default;
  template <class U>
  Aligned(const Aligned<U>&) {}
  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), line));
  }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, line); }
  bool operator==(const Aligned&) const { return true; }
};
template <class T>
using Array = std::vector<T, Aligned<T>>;

// A dense matrix of random numbers, on the device and here.
template <class T>
struct Operand {
  Operand(device::Device& device, std::uint64_t rows, std::uint64_t cols, std::uint32_t stream)
      : values(rows * cols), buffer(device.create(values.size() * sizeof(T))) {
    matrix = {buffer.get(), 0, rows, cols, cols};
    if constexpr (sizeof(T) == 4) {
      device.call(&Backend::fill_f32, buffer.get(), std::uint64_t{0}, rows * cols, std::uint64_t{1},
                  stream, std::uint64_t{0});
    } else {
      device.call(&Backend::fill_i8, buffer.get(), std::uint64_t{0}, rows * cols, std::uint64_t{1},
                  stream, std::uint64_t{0});
    }
    device.download(buffer, reinterpret_cast<std::uint8_t*>(values.data()),
                    values.size() * sizeof(T));
  }
  Array<T> values;
  device::Buffer buffer;
  Matrix matrix;
};

// Room for a product's result or for scales.
struct Room {
  Room(device::Device& device, std::uint64_t rows, std::uint64_t cols)
      : buffer(device.create(4 * rows * cols)), matrix{buffer.get(), 0, rows, cols, cols} {}
  device::Buffer buffer;
  Matrix matrix;
};

void Bench::product(unsigned threads, std::uint64_t m, std::uint64_t n, std::uint64_t k) {
  device::Device device(device::wanted("cpu", threads));
  const double work =
      2e-9 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const std::string shape = shape_text(m, n, k), with = ", " + threads_text(threads);
  const Operand<float> a(device, m, k, 1), b(device, k, n, 2);
  const Room c(device, m, n);
  const int mi = static_cast<int>(m), ni = static_cast<int>(n), ki = static_cast<int>(k);
  std::function<void()> sgemm, s8;
  std::vector<float> fp32_result(m * n);
  if (blas_.sgemm != nullptr) {
    blas_.set_threads(static_cast<int>(threads));
    sgemm = [&] {
      blas_.sgemm(101, 111, 111, mi, ni, ki, 1, a.values.data(), ki, b.values.data(), ni, 1,
                  fp32_result.data(), ni);
    };
  }
  const Pair f32x = in_turn(
      [&] { device.call(&Backend::matmul_f32x, Form::ab, a.matrix, b.matrix, c.matrix); }, sgemm);
  add(row("f32x" + with, shape, "Gop/s", work, f32x, blas_.name));

  const Operand<std::int8_t> qa(device, m, k, 3), qb(device, k, n, 4);
  std::vector<std::int32_t> int32_result(m * n);
  const std::int32_t offset = 0;
  if (dnn_.gemm_s8s8s32 != nullptr) {
    dnn_.set_threads(static_cast<int>(threads));
    s8 = [&] {
      dnn_.gemm_s8s8s32('N', 'N', 'F', mi, ni, ki, 1, qa.values.data(), ki, 0, qb.values.data(), ni,
                        0, 1, int32_result.data(), ni, &offset);
    };
  }
  const Pair i8 = in_turn(
      [&] { device.call(&Backend::matmul_i8, Form::ab, qa.matrix, qb.matrix, c.matrix); }, s8);
  add(row("i8" + with, shape, "Gop/s", work, i8, dnn_.name));

  const std::uint64_t groups = (k + kernels::group - 1) / kernels::group;
  const Room scales_a(device, m, groups), scales_b(device, groups, n);
  const Quantised x = {qa.matrix, scales_a.matrix, Quantised::along_cols};
  const Quantised y = {qb.matrix, scales_b.matrix, Quantised::along_rows};
  const Pair quantise = in_turn(
      [&] {
        device.call(&Backend::quantise, a.matrix, x);
        device.call(&Backend::quantise, b.matrix, y);
      },
      {});
  const double elements = 1e-9 * static_cast<double>(m * k + k * n);
  add(row("quantise" + with, shape, "Gelement/s", elements, quantise, ""));
  const Pair i8x =
      in_turn([&] { device.call(&Backend::matmul_i8x, Form::ab, x, y, c.matrix); }, s8);
  add(row("i8x" + with, shape, "Gop/s", work, i8x, dnn_.name));
  add(row("i8x over f32x" + with, shape, "Gop/s", work, {i8x.ours, f32x.ours}, "our f32x"));
}

void Bench::products(unsigned threads) {
  for (const std::uint64_t n : {256, 512, 1024, 2048, 4096}) product(threads, n, n, n);
  product(threads, 8192, 64, 1024);  // tall
  product(threads, 4096, 16, 4096);
  product(threads, 64, 8192, 1024);  // wide
  product(threads, 16, 4096, 4096);
}

void Bench::check_costs(unsigned threads) {
  device::Device device(device::wanted("cpu", threads));
  const std::string with = ", " + threads_text(threads);
  NullSink sink;
  const auto bytes_of = [](const auto& values) {
    return ByteView(reinterpret_cast<const std::uint8_t*>(values.data()),
                    values.size() * sizeof values[0]);
  };
  {
    constexpr std::uint64_t n = 4096;
    const Operand<float> a(device, n, n, 1), b(device, n, n, 2);
    workload::Geometry g;
    g.m = g.n = g.k = n;
    g.profile = "f32x";
    workload::Product product(g, bytes_of(a.values), bytes_of(b.values), device);
    Bytes c(4 * n * n);
    const auto whole = [&] { product.tile(0, n, 0, n, c.data()); };
    whole();
    std::vector<std::uint64_t> units;
    std::mt19937_64 random(1);
    const auto draws = static_cast<std::size_t>(std::ceil(-40 * std::log(2) / std::log(0.99)));
    for (std::size_t i = 0; i < draws; ++i) units.push_back(random() % g.units());
    const auto replay = [&] {
      if (proof::replay_units(g, product, c, units, sink, {})) throw std::runtime_error("differs");
    };
    add(row("L2, 2^-40 against 1 %, f32x" + with,
            shape_text(n, n, n) + ", " + std::to_string(draws) + " elements", "1/s", 1,
            in_turn(replay, whole), "the product"));
    const auto digest = [&] {
      Bytes digests(c.size() / kernels::page_bytes * 32);
      const auto buffer = device.borrow(c);
      device.call(&Backend::page_digests, static_cast<const kernels::Buffer*>(buffer.get()),
                  std::uint64_t{0}, std::uint64_t{c.size()}, digests.data());
    };
    // The trace's root from digests that are there, and a signature over a statement's size.
    const std::vector<Digest> leaves(c.size() / kernels::page_bytes);
    const auto key = crypto::SigningKey::make();
    const Bytes statement(4096);
    const auto receipt = [&] {
      crypto::merkle_root(leaves);
      key.sign(statement);
    };
    add(row("trace and receipt, hashing apart" + with, shape_text(n, n, n), "1/s", 1,
            in_turn(receipt, whole), "the product"));
    add(row("page digests of C" + with, shape_text(n, n, n), "1/s", 1, in_turn(digest, whole),
            "the product"));
  }
  for (const std::uint64_t n : {4096, 8192}) {
    const Operand<std::int8_t> a(device, n, n, 3), b(device, n, n, 4);
    workload::Geometry g;
    g.m = g.n = g.k = n;
    g.profile = "i8";
    Array<std::uint8_t> c(4 * n * n);
    workload::Product(g, bytes_of(a.values), bytes_of(b.values), device).tile(0, n, 0, n, c.data());
    Array<std::int32_t> result(n * n);
    const std::int32_t offset = 0;
    std::function<void()> s8;
    if (dnn_.gemm_s8s8s32 != nullptr) {
      dnn_.set_threads(static_cast<int>(threads));
      const auto ni = static_cast<std::int64_t>(n);
      s8 = [&, ni] {
        dnn_.gemm_s8s8s32('N', 'N', 'F', ni, ni, ni, 1, a.values.data(), ni, 0, b.values.data(), ni,
                          0, 0, result.data(), ni, &offset);
      };
    }
    const auto check = [&] {
      if (proof::freivalds(g, bytes_of(a.values), bytes_of(b.values), c, Digest{}, device, sink,
                           {})) {
        throw std::runtime_error("differs");
      }
    };
    add(row("L4, two vectors, i8" + with, shape_text(n, n, n), "1/s", 1, in_turn(check, s8),
            dnn_.name + "'s product"));
  }
}

void Bench::digests(unsigned threads) {
  device::Device device(device::wanted("cpu", threads));
  const Bytes data(std::size_t{64} << 20, 0x5a);
  Bytes digests(data.size() / kernels::page_bytes * 32);
  const auto buffer = device.borrow(data);
  Row result = row("page digests, " + threads_text(threads), "64 MiB", "GB/s",
                   1e-9 * static_cast<double>(data.size()),
                   in_turn(
                       [&] {
                         device.call(&Backend::page_digests,
                                     static_cast<const kernels::Buffer*>(buffer.get()),
                                     std::uint64_t{0}, std::uint64_t{data.size()}, digests.data());
                       },
                       {}),
                   "openssl speed, 4 KiB, as many processes");
  const double rate = openssl_sha256(threads);
  if (rate > 0) result.peer = 1e-9 * rate;
  add(result);
}

void Bench::functions() {
  device::Device device(device::wanted("cpu", 1));
  constexpr std::uint64_t count = 1 << 16;  // 512 KiB in and out: the second-level cache
  std::vector<float> x(count), y(count);
  std::mt19937_64 random(1);
  for (float& value : x) value = static_cast<float>(static_cast<double>(random()) * 0x1p-59 - 16);
  const auto from = device.borrow(
      ByteView(reinterpret_cast<const std::uint8_t*>(x.data()), x.size() * sizeof x[0]));
  const auto to = device.create(4 * count);
  const Sleef vector = sleef();
  using Array = void (*)(const float*, float*, std::uint64_t);
  struct Peers {
    const char* name;
    kernels::Function function;
    float (*scalar)(float);
    Array array;
  };
  const Peers all[] = {
      {"exp", kernels::Function::exp, [](float v) { return std::exp(v); }, vector.exp},
      {"sigmoid", kernels::Function::sigmoid, [](float v) { return 1 / (1 + std::exp(-v)); },
       nullptr},
      {"tanh", kernels::Function::tanh, [](float v) { return std::tanh(v); }, vector.tanh},
  };
  for (const Peers& p : all) {
    const auto ours = [&] {
      device.call(&Backend::map, p.function, static_cast<const kernels::Buffer*>(from.get()),
                  std::uint64_t{0}, to.get(), std::uint64_t{0}, count);
    };
    const auto scalar = [&] {
      for (std::uint64_t i = 0; i < count; ++i) y[i] = p.scalar(x[i]);
    };
    add(row(p.name, "65536", "Gelement/s", 1e-9 * count, in_turn(ours, scalar), "glibc, scalar"));
    if (p.array != nullptr) {
      add(row(p.name, "65536", "Gelement/s", 1e-9 * count,
              in_turn(ours, [&] { p.array(x.data(), y.data(), count); }), vector.name));
    }
  }
}

// The middle of the ratios over all shapes, for each kind of product.
void Bench::medians() {
  std::map<std::string, std::vector<double>> ratios;
  for (const Row& r : report_.rows) {
    const bool product = r.what.starts_with("f32x") || r.what.starts_with("i8");
    if (product && r.peer) ratios[r.what].push_back(r.ours / *r.peer);
  }
  for (auto& [what, values] : ratios) {
    std::printf("%-28s median over %zu shapes: %.2f\n", what.c_str(), values.size(),
                summarise(values).median);
  }
}

int run(int argc, char** argv) {
  Bench bench;
  const unsigned most = bench.report().machine.cores;
  for (unsigned threads = 1; threads <= std::min(2u, most); ++threads) {
    bench.products(threads);
    bench.check_costs(threads);
    bench.digests(threads);
  }
  bench.functions();
  std::fputs(to_table(bench.report()).c_str(), stdout);
  bench.medians();
  if (argc == 2) {
    std::FILE* const file = std::fopen(argv[1], "w");
    if (file == nullptr) throw std::runtime_error(std::string("cannot write ") + argv[1]);
    const std::string text = to_json(bench.report());
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
  }
  return 0;
}

}  // namespace
}  // namespace volt::bench

int main(int argc, char** argv) {
  try {
    return volt::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: error: %s\n", error.what());
    return 1;
  }
}
