// SPDX-License-Identifier: Apache-2.0

// A libcublasLt.so.13 on memory of the host, for machines without a GPU. It believes descriptors,
// layouts and preferences as the real one does, in columns first, and says what is wrong with them.

#include "fake_cublaslt.hpp"

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "kernels/cublaslt.hpp"
#include "kernels/exact.hpp"

using namespace volt::kernels;

namespace {

FakeCublasLt fake;

struct Description {
  int op[2] = {cublas_op_n, cublas_op_n};  // of A and B
};
struct Layout {
  int type;
  std::uint64_t rows, cols;
  std::int64_t ld;
};
struct Preference {
  std::size_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};
};

bool expect(bool right, const char* what) {
  if (!right && fake.wrong == nullptr) fake.wrong = what;
  return right;
}

template <class T>
int make(void** object, const T& value) {
  ++fake.objects;
  *object = new T(value);
  return 0;
}

template <class T>
int destroy(void* object) {
  --fake.objects;
  delete static_cast<T*>(object);
  return 0;
}

std::uint64_t rows_of(const Layout& layout, int op) {
  return op == cublas_op_n ? layout.rows : layout.cols;
}
std::uint64_t cols_of(const Layout& layout, int op) {
  return op == cublas_op_n ? layout.cols : layout.rows;
}

float element(const std::uint16_t* data, const Layout& layout, int op, std::uint64_t row,
              std::uint64_t col) {
  const auto ld = static_cast<std::uint64_t>(layout.ld);
  return from_bf16(data[op == cublas_op_n ? col * ld + row : row * ld + col]);
}

bool good(const Description& d, const Layout& a, const Layout& b, const Layout& c) {
  bool all = true;
  for (const Layout* const layout : {&a, &b, &c}) {
    all &= expect(layout->rows > 0 && layout->cols > 0, "an empty matrix");
    all &= expect(layout->ld >= static_cast<std::int64_t>(layout->rows), "columns that overlap");
  }
  all &= expect(a.type == cuda_r_16bf && b.type == cuda_r_16bf && c.type == cuda_r_32f, "a type");
  all &= expect(rows_of(a, d.op[0]) == c.rows, "the rows of A and C differ");
  all &= expect(cols_of(b, d.op[1]) == c.cols, "the columns of B and C differ");
  all &= expect(cols_of(a, d.op[0]) == rows_of(b, d.op[1]), "A and B have no common extent");
  return all;
}

}  // namespace

extern "C" {

FakeCublasLt* fake_cublaslt() { return &fake; }

int cublasLtCreate(void** handle) {
  return fake.fail_create != 0 ? fake.fail_create : make(handle, 'h');
}
int cublasLtDestroy(void* handle) { return destroy<char>(handle); }
std::size_t cublasLtGetVersion() { return 130000; }
const char* cublasLtGetStatusString(int status) {
  return status == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_NOT_INITIALIZED";
}

int cublasLtMatmulDescCreate(void** description, int compute_type, int scale_type) {
  expect(compute_type == cublas_compute_32f && scale_type == cuda_r_32f, "a way of computing");
  return make(description, Description{});
}
int cublasLtMatmulDescDestroy(void* description) { return destroy<Description>(description); }
int cublasLtMatmulDescSetAttribute(void* description, int attribute, const void* value,
                                   std::size_t bytes) {
  if (!expect(bytes == 4, "the size of an operation")) return 7;
  const int which = attribute - cublaslt_matmul_desc_transa;
  if (!expect(which == 0 || which == 1, "an attribute")) return 7;
  std::memcpy(&static_cast<Description*>(description)->op[which], value, 4);
  return 0;
}

int cublasLtMatrixLayoutCreate(void** layout, int type, std::uint64_t rows, std::uint64_t cols,
                               std::int64_t ld) {
  return make(layout, Layout{type, rows, cols, ld});
}
int cublasLtMatrixLayoutDestroy(void* layout) { return destroy<Layout>(layout); }

int cublasLtMatmulPreferenceCreate(void** preference) { return make(preference, Preference{}); }
int cublasLtMatmulPreferenceDestroy(void* preference) { return destroy<Preference>(preference); }
int cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value,
                                         std::size_t bytes) {
  auto& p = *static_cast<Preference*>(preference);
  if (attribute == cublaslt_matmul_pref_max_workspace_bytes) {
    if (!expect(bytes == 8, "the size of a workspace")) return 7;
    std::memcpy(&p.workspace, value, 8);
    return 0;
  }
  const int which = attribute - cublaslt_matmul_pref_min_alignment_a_bytes;
  if (!expect(which >= 0 && which < 4 && bytes == 4, "a preference")) return 7;
  std::memcpy(&p.alignment[which], value, 4);
  return 0;
}

int cublasLtMatmulAlgoGetHeuristic(void*, void* description, void* a, void* b, void* c, void* d,
                                   void* preference, int asked, CublasLtChoice* choices,
                                   int* given) {
  const auto& p = *static_cast<Preference*>(preference);
  ++fake.asked;
  fake.workspace = p.workspace;
  std::memcpy(fake.alignment, p.alignment, sizeof fake.alignment);
  *given = 0;
  if (!good(*static_cast<Description*>(description), *static_cast<Layout*>(a),
            *static_cast<Layout*>(b), *static_cast<Layout*>(c)) ||
      !expect(c == d && asked >= 1, "C and D are not one")) {
    return 7;
  }
  if (fake.has_nothing) return 0;
  *choices = {{1, p.workspace, p.alignment[0], p.alignment[1], p.alignment[2]}, 0, 0, 1.0f, {}};
  *given = 1;
  return 0;
}

int cublasLtMatmul(void* handle, void* description, const void* alpha, const void* a,
                   void* layout_a, const void* b, void* layout_b, const void* beta, const void* c,
                   void* layout_c, void* d, void* layout_d, const void* algorithm, void* workspace,
                   std::size_t workspace_bytes, void*) {
  const auto& op = static_cast<Description*>(description)->op;
  const auto &la = *static_cast<Layout*>(layout_a), &lb = *static_cast<Layout*>(layout_b),
             &lc = *static_cast<Layout*>(layout_c);
  const auto* const choice = static_cast<const std::uint64_t*>(algorithm);
  const void* const operands[] = {a, b, c};
  bool right = expect(handle != nullptr && choice[0] == 1, "no algorithm of ours");
  right &= expect(c == d && layout_c == layout_d, "C and D are not one");
  right &= expect(choice[1] == workspace_bytes, "another workspace than was told");
  right &= expect(workspace_bytes == 0 || workspace != nullptr, "no workspace");
  for (int i = 0; i < 3; ++i) {
    right &= expect(reinterpret_cast<std::uintptr_t>(operands[i]) % choice[2 + i] == 0,
                    "less aligned than was told");
  }
  if (!right || !good(*static_cast<Description*>(description), la, lb, lc)) return 7;
  const float factor = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  for (std::uint64_t col = 0; col < lc.cols; ++col) {
    for (std::uint64_t row = 0; row < lc.rows; ++row) {
      float sum = 0;
      for (std::uint64_t k = 0; k < cols_of(la, op[0]); ++k) {
        sum += element(static_cast<const std::uint16_t*>(a), la, op[0], row, k) *
               element(static_cast<const std::uint16_t*>(b), lb, op[1], k, col);
      }
      float& to = static_cast<float*>(d)[col * static_cast<std::uint64_t>(lc.ld) + row];
      to = factor * sum + keep * to;
    }
  }
  return 0;
}
}
