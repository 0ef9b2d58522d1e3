// SPDX-License-Identifier: Apache-2.0

#include "lt_products.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "check.hpp"

namespace volt::kernels {
namespace {

constexpr std::size_t most_plans = 1024;  // a micro-batch may have any number of rows

// The power of two that an address is a multiple of, up to 256, the library's default.
std::uint32_t alignment(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(address & (~address + 1), 256));
}

}  // namespace

LtProducts::LtProducts(const CublasLt& library, std::string why_not, CudaStream stream)
    : lt_(library), why_not_(std::move(why_not)), stream_(stream) {}

LtProducts::~LtProducts() {
  forget_all();
  if (handle_ != nullptr) lt_.cublasLtDestroy(handle_);
}

Status LtProducts::did(int status, const char* what) {
  if (status == 0) return {};
  return say(Status::failed, "%s: %s", what, lt_.cublasLtGetStatusString(status));
}

// The library counts columns first, so that a matrix of ours is to it the transposed one: what it
// works out is C^T = B^T A^T, with B as its A.
Status LtProducts::multiply(const Product<std::uint16_t, float>& job, Scratch workspace) {
  if (!why_not_.empty()) {
    return say(Status::missing, "bf16 products need cuBLASLt: %s", why_not_.c_str());
  }
  if (handle_ == nullptr) {
    const Status status = did(lt_.cublasLtCreate(&handle_), "cublasLtCreate");
    if (status.code != Status::ok) return status;
  }
  const Key key = {static_cast<std::uint64_t>(job.form),
                   job.m,
                   job.n,
                   job.k,
                   job.a.stride,
                   job.b.stride,
                   job.c.stride,
                   alignment(job.a.data),
                   alignment(job.b.data),
                   alignment(job.c.data),
                   workspace.bytes};
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    if (plans_.size() == most_plans) forget_all();
    Plan plan;
    if (const Status status = prepare(job, key, plan); status.code != Status::ok) {
      forget(plan);
      return status;
    }
    found = plans_.emplace(key, plan).first;
  }
  const Plan& plan = found->second;
  const float one = 1.0f;
  return did(lt_.cublasLtMatmul(handle_, plan.description, &one, job.b.data, plan.a, job.a.data,
                                plan.b, &one, job.c.data, plan.c, job.c.data, plan.c,
                                plan.choice.algorithm, workspace.data, workspace.bytes, stream_),
             "cublasLtMatmul");
}

Status LtProducts::prepare(const Product<std::uint16_t, float>& job, const Key& key, Plan& plan) {
  Status status;
  const auto then = [&](const char* what, int outcome) {
    if (status.code == Status::ok) status = did(outcome, what);
  };
  const auto transpose = [&](int attribute, bool transposed) {
    const std::int32_t op = transposed ? cublas_op_t : cublas_op_n;
    then("cublasLtMatmulDescSetAttribute",
         lt_.cublasLtMatmulDescSetAttribute(plan.description, attribute, &op, sizeof op));
  };
  const auto lay = [&](void*& layout, int type, const auto& view) {
    then("cublasLtMatrixLayoutCreate",
         lt_.cublasLtMatrixLayoutCreate(&layout, type, view.cols, view.rows,
                                        static_cast<std::int64_t>(view.stride)));
  };
  then("cublasLtMatmulDescCreate",
       lt_.cublasLtMatmulDescCreate(&plan.description, cublas_compute_32f, cuda_r_32f));
  if (status.code != Status::ok) return status;
  transpose(cublaslt_matmul_desc_transa, !k_is_rows_of_b(job.form));
  transpose(cublaslt_matmul_desc_transb, k_is_rows_of_a(job.form));
  lay(plan.a, cuda_r_16bf, job.b);
  lay(plan.b, cuda_r_16bf, job.a);
  lay(plan.c, cuda_r_32f, job.c);
  return status.code == Status::ok ? choose(key, plan) : status;
}

Status LtProducts::choose(const Key& key, Plan& plan) {
  const auto [form, m, n, k, stride_a, stride_b, stride_c, align_a, align_b, align_c, bytes] = key;
  void* preference = nullptr;
  const int made = lt_.cublasLtMatmulPreferenceCreate(&preference);
  if (made != 0) return did(made, "cublasLtMatmulPreferenceCreate");
  int outcome = 0, given = 0;
  const auto prefer = [&](int attribute, auto value) {
    if (outcome != 0) return;
    outcome = lt_.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value);
  };
  prefer(cublaslt_matmul_pref_max_workspace_bytes, bytes);
  prefer(cublaslt_matmul_pref_min_alignment_a_bytes, static_cast<std::uint32_t>(align_b));
  prefer(cublaslt_matmul_pref_min_alignment_b_bytes, static_cast<std::uint32_t>(align_a));
  prefer(cublaslt_matmul_pref_min_alignment_c_bytes, static_cast<std::uint32_t>(align_c));
  prefer(cublaslt_matmul_pref_min_alignment_d_bytes, static_cast<std::uint32_t>(align_c));
  const char* what = "cublasLtMatmulPreferenceSetAttribute";
  if (outcome == 0) {
    what = "cublasLtMatmulAlgoGetHeuristic";
    outcome = lt_.cublasLtMatmulAlgoGetHeuristic(handle_, plan.description, plan.a, plan.b, plan.c,
                                                 plan.c, preference, 1, &plan.choice, &given);
  }
  lt_.cublasLtMatmulPreferenceDestroy(preference);
  if (outcome != 0) return did(outcome, what);
  if (given == 1 && plan.choice.state == 0) return {};
  return say(Status::failed, "cuBLASLt has no bf16 product of %" PRIu64 " x %" PRIu64 " x %" PRIu64,
             m, n, k);
}

void LtProducts::forget(const Plan& plan) {
  for (void* const layout : {plan.a, plan.b, plan.c}) {
    if (layout != nullptr) lt_.cublasLtMatrixLayoutDestroy(layout);
  }
  if (plan.description != nullptr) lt_.cublasLtMatmulDescDestroy(plan.description);
}

void LtProducts::forget_all() {
  for (const auto& [key, plan] : plans_) forget(plan);
  plans_.clear();
}

}  // namespace volt::kernels
