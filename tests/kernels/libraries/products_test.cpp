// SPDX-License-Identifier: Apache-2.0

// The calling side of bf16 products, with fake_cublaslt.cpp in the library's place.

#include <dlfcn.h>

#include "../support.hpp"
#include "fake_cublaslt.hpp"
#include "kernels/cublaslt.hpp"
#include "kernels/driver.hpp"
#include "kernels/exact.hpp"
#include "kernels/libraries_cuda.hpp"
#include "kernels/lt_products.hpp"

namespace volt::kernels::test {
namespace {

FakeCublasLt& fake() {
  void* const library = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  void* const get = dlsym(library, "fake_cublaslt");
  REQUIRE_MESSAGE(get != nullptr, "this is not the fake library");
  return *reinterpret_cast<FakeCublasLt* (*)()>(get)();
}

struct Fresh {
  Fresh() { fake() = {}; }
  ~Fresh() {
    CHECK(fake().objects == 0);
    CHECK_MESSAGE(fake().wrong == nullptr, std::string(fake().wrong));
  }
};

const Store store = [] {
  Store own = host_store;
  own.end = [](Context& context) { return cuda_context(context).told(); };
  return own;
}();

const Engine engine = [] {
  Engine own = reference_engine;
  own.store = &store;
  own.matmul_bf16 = [](Context& context, const Product<std::uint16_t, float>& job) {
    multiply_by_library(cuda_context(context), job);
    return true;
  };
  return own;
}();

struct OnHost final : CudaContext {
  using CudaContext::CudaContext;
  ~OnHost() override {
    libraries.reset();
    drop_room();
  }
};

Status open(const Options& options, Context** context) {
  auto* const made = new OnHost(engine, 1, options.memory_limit);
  made->libraries = nvidia_libraries(nullptr);
  *context = made;
  return {};
}

Backend by_library() { return make_backend("cuda", open, nullptr); }

constexpr Form forms[] = {Form::ab, Form::abt, Form::atb};

// Whole numbers, few enough that every order of adding them gives the same.
struct Numbers {
  std::mt19937 random{1};
  std::uint64_t up_to(std::uint64_t most) { return random() % (most + 1); }
  float next() { return static_cast<float>(up_to(16)) - 8.0f; }
  std::vector<std::uint16_t> halves(std::uint64_t count) {
    std::vector<std::uint16_t> values(count);
    for (auto& value : values) value = to_bf16(next());
    return values;
  }
  std::vector<float> floats(std::uint64_t count) {
    std::vector<float> values(count);
    for (auto& value : values) value = next();
    return values;
  }
};

struct Laid {
  std::uint64_t rows, cols, offset, stride;
  std::uint64_t count() const { return offset + rows * stride; }
  Matrix in(Buffer* buffer) const { return {buffer, offset, rows, cols, stride}; }
};

Laid lay(Numbers& numbers, std::uint64_t rows, std::uint64_t cols) {
  return {rows, cols, numbers.up_to(3), cols + numbers.up_to(5)};
}

struct Case {
  Form form;
  Laid a, b, c;
};

Case product(Numbers& numbers, Form form, std::uint64_t m, std::uint64_t n, std::uint64_t k) {
  const auto laid = [&](bool turned, std::uint64_t rows, std::uint64_t cols) {
    return turned ? lay(numbers, cols, rows) : lay(numbers, rows, cols);
  };
  return {form, laid(form == Form::atb, m, k), laid(form == Form::abt, k, n), lay(numbers, m, n)};
}

std::vector<float> run(const Backend& backend, const Case& p, const std::vector<std::uint16_t>& a,
                       const std::vector<std::uint16_t>& b, const std::vector<float>& c) {
  Session s(backend);
  Buffer* const to = s.put(c);
  VOLT_OK(backend.matmul_bf16(s.context, p.form, p.a.in(s.put(a)), p.b.in(s.put(b)), p.c.in(to)));
  return s.get<float>(to, c.size());
}

void compare(const Case& p, Numbers& numbers) {
  const auto a = numbers.halves(p.a.count()), b = numbers.halves(p.b.count());
  const auto c = numbers.floats(p.c.count());
  CHECK(bits_of(run(by_library(), p, a, b, c)) == bits_of(run(cpu_reference(), p, a, b, c)));
}

TEST_CASE("cuBLASLt is told of rows in columns, for every form, stride and offset") {
  const Fresh fresh;
  Numbers numbers;
  for (int i = 0; i < 60; ++i) {
    for (const Form form : forms) {
      compare(product(numbers, form, 1 + numbers.up_to(20), 1 + numbers.up_to(20),
                      1 + numbers.up_to(40)),
              numbers);
    }
  }
}

TEST_CASE("extents of one, and none, are no special case to cuBLASLt") {
  const Fresh fresh;
  Numbers numbers;
  for (const Form form : forms) {
    for (const std::uint64_t m : {0, 1, 3}) {
      for (const std::uint64_t n : {0, 1, 3}) {
        for (const std::uint64_t k : {0, 1, 3}) compare(product(numbers, form, m, n, k), numbers);
      }
    }
  }
}

TEST_CASE("cuBLASLt is asked once for each kind of product") {
  const Fresh fresh;
  Session s(by_library());
  Buffer *const a = s.room(4096), *const b = s.room(4096), *const c = s.room(4096);
  const auto multiply = [&](std::uint64_t offset, std::uint64_t k, Form form) {
    VOLT_OK(s.table.matmul_bf16(s.context, form, {a, offset, 8, k, k}, {b, 0, 8, k, k},
                                {c, 0, 8, 8, 8}));
    return fake().asked;
  };
  CHECK(multiply(0, 16, Form::abt) == 1);
  CHECK(multiply(0, 16, Form::abt) == 1);
  CHECK(multiply(1, 16, Form::abt) == 2);  // less aligned
  CHECK(multiply(1, 16, Form::abt) == 2);
  CHECK(multiply(0, 24, Form::abt) == 3);
  CHECK(multiply(0, 8, Form::abt) == 4);
  CHECK(multiply(0, 8, Form::atb) == 5);
  CHECK(multiply(0, 8, Form::ab) == 6);
  CHECK(multiply(0, 16, Form::abt) == 6);
}

TEST_CASE("cuBLASLt knows how its operands are aligned, and its workspace") {
  const Fresh fresh;
  Session s(by_library());
  Buffer *const a = s.room(4096), *const b = s.room(4096), *const c = s.room(4096);
  VOLT_OK(
      s.table.matmul_bf16(s.context, Form::ab, {a, 1, 2, 2, 2}, {b, 2, 2, 2, 2}, {c, 2, 2, 2, 2}));
  CHECK(fake().alignment[0] == 4);  // its A is our B
  CHECK(fake().alignment[1] == 2);
  CHECK(fake().alignment[2] == 8);
  CHECK(fake().alignment[3] == 8);
  CHECK(fake().workspace == 32u << 20);
}

TEST_CASE("what cuBLASLt does not do is said, and the next product is none the worse") {
  const Fresh fresh;
  Session s(by_library());
  const Matrix a = dense(s.room(64), 2, 4), b = dense(s.room(64), 4, 3),
               c = dense(s.room(64), 2, 3);
  const auto multiply = [&] { return s.table.matmul_bf16(s.context, Form::ab, a, b, c); };
  fake().fail_create = 1;
  VOLT_REFUSED(failed, "CUDA: cublasLtCreate: CUBLAS_STATUS_NOT_INITIALIZED", multiply());
  fake().fail_create = 0;
  fake().has_nothing = true;
  VOLT_REFUSED(failed, "CUDA: cuBLASLt has no bf16 product of 2 x 3 x 4", multiply());
  fake().has_nothing = false;
  VOLT_OK(multiply());
  VOLT_REFUSED(invalid, "a bf16 product has no diagonal form",
               s.table.matmul_bf16(s.context, Form::ab_diagonal, a, dense(b.buffer, 4, 2),
                                   dense(c.buffer, 2, 1)));
}

TEST_CASE("cuBLASLt keeps a bounded number of plans") {
  const Fresh fresh;
  Session s(by_library());
  Buffer *const a = s.room(8192), *const b = s.room(8192), *const c = s.room(64);
  for (std::uint64_t k = 1; k <= 1500; ++k) {
    VOLT_OK(
        s.table.matmul_bf16(s.context, Form::ab, dense(a, 1, k), dense(b, k, 1), dense(c, 1, 1)));
  }
  CHECK(fake().asked == 1500);
  CHECK(fake().objects < 4 * 1024 + 2);
}

TEST_CASE("a machine without cuBLASLt says which file it looked for") {
  CublasLt functions = {};
  const std::string why = load_functions({"libnone.so.13", "libnone.so.12"}, functions);
  CHECK(why == "libnone.so.13 is not here, libnone.so.12 is not here");
  CHECK(load_functions({"libnone.so.13", "libc.so.6"}, functions) ==
        "libc.so.6 has no cublasLtCreate");
  LtProducts products(functions, why, nullptr);
  VOLT_REFUSED(missing,
               "bf16 products need cuBLASLt: libnone.so.13 is not here, libnone.so.12 is not here",
               products.multiply({Form::ab, 1, 1, 1, {}, {}, {}}, {}));
}

TEST_CASE("a context without libraries has no bf16 products") {
  Session s(by_library());
  cuda_context(*s.context).libraries.reset();
  const Matrix one = dense(s.room(4), 1, 1);
  VOLT_REFUSED(failed, "CUDA: bf16 products need cuBLASLt",
               s.table.matmul_bf16(s.context, Form::ab, one, dense(s.room(4), 1, 1),
                                   dense(s.room(4), 1, 1)));
}

}  // namespace
}  // namespace volt::kernels::test
