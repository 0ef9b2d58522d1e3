// SPDX-License-Identifier: Apache-2.0

#include "peers.hpp"

#include <chrono>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>

#include "cublas.hpp"
#include "driver.hpp"

namespace volt::gpu {
namespace {

using kernels::Form;

constexpr int cu_device_attribute_l2_cache_size = 38;
constexpr std::size_t workspace_bytes = 64 << 20;  // what cuBLAS asks for on Hopper, twice
constexpr int most_choices = 8;
constexpr double never = std::numeric_limits<double>::infinity();

void check_cublas(int status, const char* what) {
  if (status != 0) {
    throw std::runtime_error(std::string(what) + ": cuBLAS status " + std::to_string(status));
  }
}

void* pointer(const PeerMemory& memory) { return reinterpret_cast<void*>(memory.address()); }

// "13.0.2" of 130002.
std::string version_text(std::size_t version) {
  return std::to_string(version / 10'000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

// The libraries are column-major, where our C[m,n] is an n x m matrix: B' A' with m and n
// exchanged. Their first operand is our B.
struct ColumnMajor {
  ColumnMajor(Form form, std::uint64_t m_, std::uint64_t n_, std::uint64_t k_)
      : m(n_), n(m_), k(k_), op_a(form == Form::abt), op_b(form == Form::atb) {}
  std::uint64_t m, n, k;
  bool op_a, op_b;  // whether transposed
  std::uint64_t rows_a() const { return op_a ? k : m; }
  std::uint64_t cols_a() const { return op_a ? m : k; }
  std::uint64_t rows_b() const { return op_b ? n : k; }
  std::uint64_t cols_b() const { return op_b ? k : n; }
};

// Operands of several sets.
class Operands : public PeerProduct {
 public:
  Operands(const Driver& driver, const ColumnMajor& shape, std::uint64_t in, std::uint64_t out,
           unsigned sets)
      : shape_(shape) {
    for (unsigned i = 0; i < sets; ++i) {
      a_.emplace_back(driver, shape.m * shape.k * in);
      b_.emplace_back(driver, shape.n * shape.k * in);
      c_.emplace_back(driver, shape.m * shape.n * out);
    }
  }

  void put(unsigned set, const std::vector<std::uint8_t>& a,
           const std::vector<std::uint8_t>& b) override {
    a_[set].upload(b);
    b_[set].upload(a);
  }

 protected:
  const ColumnMajor shape_;
  std::vector<PeerMemory> a_, b_, c_;
};

class Sgemm : public Operands {
 public:
  Sgemm(const Driver& driver, const Cublas& cublas, void* handle, const ColumnMajor& shape,
        unsigned sets)
      : Operands(driver, shape, 4, 4, sets), cublas_(cublas), handle_(handle) {}

  bool ready() override { return true; }

  void start(unsigned set) override {
    const float one = 1, zero = 0;
    const auto extent = [](std::uint64_t n) { return static_cast<int>(n); };
    check_cublas(
        cublas_.cublasSgemm(handle_, shape_.op_a ? cublas_op_t : cublas_op_n,
                            shape_.op_b ? cublas_op_t : cublas_op_n, extent(shape_.m),
                            extent(shape_.n), extent(shape_.k), &one, pointer(a_[set]),
                            extent(shape_.rows_a()), pointer(b_[set]), extent(shape_.rows_b()),
                            &zero, pointer(c_[set]), extent(shape_.m)),
        "cublasSgemm");
  }

 private:
  const Cublas& cublas_;
  void* const handle_;
};

struct LtTypes {
  int in, out, compute, scale;
  std::uint64_t in_bytes, out_bytes;
};
constexpr LtTypes lt_i8 = {cuda_r_8i, cuda_r_32i, cublas_compute_32i, cuda_r_32i, 1, 4};
constexpr LtTypes lt_bf16 = {cuda_r_16bf, cuda_r_16bf, cublas_compute_32f, cuda_r_32f, 2, 2};

class LtProduct : public Operands {
 public:
  LtProduct(const Driver& driver, const CublasLt& lt, void* handle, const LtTypes& types,
            const ColumnMajor& shape, unsigned sets)
      : Operands(driver, shape, types.in_bytes, types.out_bytes, sets),
        driver_(driver),
        lt_(lt),
        handle_(handle),
        types_(types),
        workspace_(driver, workspace_bytes) {
    check_cublas(lt.cublasLtMatmulDescCreate(&description_, types.compute, types.scale),
                 "cublasLtMatmulDescCreate");
    set_transposed(cublaslt_matmul_desc_transa, shape.op_a);
    set_transposed(cublaslt_matmul_desc_transb, shape.op_b);
    layout_a_ = layout(types.in, shape.rows_a(), shape.cols_a());
    layout_b_ = layout(types.in, shape.rows_b(), shape.cols_b());
    layout_c_ = layout(types.out, shape.m, shape.n);
  }

  ~LtProduct() override {
    for (void* const one : {layout_a_, layout_b_, layout_c_}) lt_.cublasLtMatrixLayoutDestroy(one);
    lt_.cublasLtMatmulDescDestroy(description_);
  }

  bool ready() override {
    double best = never;
    CublasLtChoice chosen{};
    for (const CublasLtChoice& choice : proposals()) {
      choice_ = choice;
      const double seconds = trial();
      if (seconds >= best) continue;
      best = seconds;
      chosen = choice;
    }
    choice_ = chosen;
    return best < never;
  }

  void start(unsigned set) override { check_cublas(run(set), "cublasLtMatmul"); }

 private:
  void set_transposed(int attribute, bool transposed) {
    const std::int32_t op = transposed ? cublas_op_t : cublas_op_n;
    check_cublas(lt_.cublasLtMatmulDescSetAttribute(description_, attribute, &op, sizeof op),
                 "cublasLtMatmulDescSetAttribute");
  }

  void* layout(int type, std::uint64_t rows, std::uint64_t cols) {
    void* made = nullptr;
    check_cublas(
        lt_.cublasLtMatrixLayoutCreate(&made, type, rows, cols, static_cast<std::int64_t>(rows)),
        "cublasLtMatrixLayoutCreate");
    return made;
  }

  std::vector<CublasLtChoice> proposals() {
    void* preference = nullptr;
    check_cublas(lt_.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    lt_.cublasLtMatmulPreferenceSetAttribute(preference, cublaslt_matmul_pref_max_workspace_bytes,
                                             &workspace_bytes, sizeof workspace_bytes);
    std::vector<CublasLtChoice> choices(most_choices);
    int given = 0;
    lt_.cublasLtMatmulAlgoGetHeuristic(handle_, description_, layout_a_, layout_b_, layout_c_,
                                       layout_c_, preference, most_choices, choices.data(), &given);
    lt_.cublasLtMatmulPreferenceDestroy(preference);
    choices.resize(static_cast<std::size_t>(given));
    return choices;
  }

  double trial() {
    using Clock = std::chrono::steady_clock;
    constexpr int repeats = 5;
    if (choice_.state != 0 || run(0) != 0) return never;
    driver_.check(driver_.cuCtxSynchronize(), "cuCtxSynchronize");
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < repeats; ++i) run(0);
    driver_.check(driver_.cuCtxSynchronize(), "cuCtxSynchronize");
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  int run(unsigned set) {
    const float one = 1, zero = 0;
    const std::int32_t int_one = 1, int_zero = 0;
    const bool ints = types_.scale == cuda_r_32i;
    return lt_.cublasLtMatmul(
        handle_, description_, ints ? static_cast<const void*>(&int_one) : &one, pointer(a_[set]),
        layout_a_, pointer(b_[set]), layout_b_, ints ? static_cast<const void*>(&int_zero) : &zero,
        pointer(c_[set]), layout_c_, pointer(c_[set]), layout_c_, choice_.algorithm,
        pointer(workspace_), workspace_bytes, nullptr);
  }

  const Driver& driver_;
  const CublasLt& lt_;
  void* const handle_;
  const LtTypes types_;
  PeerMemory workspace_;
  void *description_ = nullptr, *layout_a_ = nullptr, *layout_b_ = nullptr, *layout_c_ = nullptr;
  CublasLtChoice choice_{};
};

// A library with its handle, or why there is none.
template <class Functions>
struct Opened {
  template <class Owner>
  Opened(const std::vector<std::string>& names, int (*Owner::*create)(void**)) : library(names) {
    if (!library.loaded()) {
      missing = library.error();
      return;
    }
    try {
      functions.emplace(library);
      check_cublas((*functions.*create)(&handle), library.path().c_str());
    } catch (const std::runtime_error& error) {
      missing = error.what();
    }
  }

  Library library;
  std::optional<Functions> functions;
  void* handle = nullptr;
  std::string missing;
};

}  // namespace

// The libraries' handles stay until the process ends, as they do themselves.
struct Peers::State {
  explicit State(const std::optional<unsigned>& gpu) {
    try {
      if (!gpu) throw std::runtime_error("no GPU");
      driver.emplace(*gpu);
    } catch (const std::runtime_error& error) {
      for (std::string& reason : missing) reason = error.what();
      return;
    }
    // cuBLASLt first: cuBLAS needs it and finds it by its name once it is open.
    lt.emplace(std::vector<std::string>{"libcublasLt.so.13", "libcublasLt.so.12"},
               &CublasLt::cublasLtCreate);
    cublas.emplace(std::vector<std::string>{"libcublas.so.13", "libcublas.so.12"},
                   &Cublas::cublasCreate);
    set(PeerKind::i8, lt->missing, [&] { return lt_name() + " int8"; });
    set(PeerKind::bf16, lt->missing, [&] { return lt_name() + " bf16"; });
    set(PeerKind::f32, cublas->missing, [&] { return pedantic_name(); });
  }

  template <class Name>
  void set(PeerKind kind, const std::string& why_not, Name name) {
    missing[static_cast<int>(kind)] = why_not;
    if (why_not.empty()) names[static_cast<int>(kind)] = name();
  }

  std::string lt_name() const {
    return "cuBLASLt " + version_text(lt->functions->cublasLtGetVersion());
  }

  std::string pedantic_name() const {
    int version = 0;
    cublas->functions->cublasGetVersion(cublas->handle, &version);
    check_cublas(cublas->functions->cublasSetMathMode(cublas->handle, cublas_pedantic_math),
                 "cublasSetMathMode");
    return "cuBLAS " + version_text(static_cast<std::size_t>(version)) + " pedantic fp32";
  }

  std::optional<Driver> driver;
  std::optional<Opened<CublasLt>> lt;
  std::optional<Opened<Cublas>> cublas;
  std::string names[3], missing[3];
};

Peers::Peers(const std::optional<unsigned>& gpu) : state_(std::make_unique<State>(gpu)) {}
Peers::~Peers() = default;

const std::string& Peers::name(PeerKind kind) const {
  return state_->names[static_cast<int>(kind)];
}

const std::string& Peers::missing(PeerKind kind) const {
  return state_->missing[static_cast<int>(kind)];
}

bool Peers::driver() const { return state_->driver.has_value(); }

std::uint64_t Peers::cache_bytes() const {
  if (!driver()) return 0;
  return static_cast<std::uint64_t>(state_->driver->attribute(cu_device_attribute_l2_cache_size));
}

std::uint64_t Peers::free_bytes() const {
  std::size_t free = 0, total = 0;
  if (!driver()) return ~std::uint64_t{0};
  state_->driver->check(state_->driver->cuMemGetInfo(&free, &total), "cuMemGetInfo");
  return free;
}

std::unique_ptr<PeerProduct> Peers::product(PeerKind kind, Form form, std::uint64_t m,
                                            std::uint64_t n, std::uint64_t k, unsigned sets) {
  State& s = *state_;
  const ColumnMajor shape(form, m, n, k);
  if (kind == PeerKind::f32) {
    return std::make_unique<Sgemm>(*s.driver, *s.cublas->functions, s.cublas->handle, shape, sets);
  }
  return std::make_unique<LtProduct>(*s.driver, *s.lt->functions, s.lt->handle,
                                     kind == PeerKind::i8 ? lt_i8 : lt_bf16, shape, sets);
}

PeerMemory Peers::memory(std::uint64_t bytes) { return {*state_->driver, bytes}; }

void Peers::copy(const PeerMemory& from, const PeerMemory& to) {
  const Driver& driver = *state_->driver;
  driver.check(driver.cuMemcpyDtoDAsync(to.address(), from.address(), from.bytes(), nullptr),
               "cuMemcpyDtoDAsync");
}

void Peers::wait() {
  state_->driver->check(state_->driver->cuCtxSynchronize(), "cuCtxSynchronize");
}

PeerMemory::PeerMemory(const Driver& driver, std::uint64_t bytes)
    : driver_(&driver), bytes_(bytes) {
  driver.check(driver.cuMemAlloc(&address_, bytes), "cuMemAlloc");
}

PeerMemory::~PeerMemory() {
  if (address_ != 0) driver_->cuMemFree(address_);
}

PeerMemory::PeerMemory(PeerMemory&& other) noexcept
    : driver_(other.driver_),
      address_(std::exchange(other.address_, 0)),
      bytes_(std::exchange(other.bytes_, 0)) {}

void PeerMemory::upload(const std::vector<std::uint8_t>& values) {
  driver_->check(driver_->cuMemcpyHtoD(address_, values.data(), values.size()), "cuMemcpyHtoD");
}

void PeerMemory::download(std::vector<std::uint8_t>& values) const {
  driver_->check(driver_->cuMemcpyDtoH(values.data(), address_, values.size()), "cuMemcpyDtoH");
}

}  // namespace volt::gpu
