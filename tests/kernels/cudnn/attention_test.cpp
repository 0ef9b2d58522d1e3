// SPDX-License-Identifier: Apache-2.0

// How a plan of attention is kept and run, with functions of the tests' own in cuDNN's place: they
// believe every graph, and keep what they are told.

#include "kernels/dnn_attention.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "../support.hpp"

namespace volt::kernels::test {
namespace {

struct Told {
  int type;
  std::map<int, std::vector<std::byte>> attributes;

  template <class T>
  std::vector<T> get(int attribute) const {
    const auto found = attributes.find(attribute);
    if (found == attributes.end()) return {};
    std::vector<T> values(found->second.size() / sizeof(T));
    std::memcpy(values.data(), found->second.data(), found->second.size());
    return values;
  }
};

struct State {
  std::set<Told*> alive;
  std::size_t version = 91900;
  int fail_create = 0, fail_stream = 0, fail_execute = 0, handles = 0, asked = 0, executed = 0;
  bool has_engines = true;
  std::int64_t workspace_of_scores = 1000;  // of a graph that adds up no sums
  std::map<std::int64_t, void*> pack;
  void* workspace = nullptr;

  std::set<std::int64_t> stored() const {
    std::set<std::int64_t> ids;
    for (const Told* const one : alive) {
      if (one->type == cudnn_tensor && one->get<char>(cudnn_attr_tensor_is_virtual).at(0) == 0) {
        ids.insert(one->get<std::int64_t>(cudnn_attr_tensor_unique_id).at(0));
      }
    }
    return ids;
  }
  bool sums() const {
    return stored().count(static_cast<std::int64_t>(AttentionTensor::sums)) != 0;
  }
} state;

std::size_t size_of(int type) {
  switch (type) {
    case cudnn_type_handle:
    case cudnn_type_int64:
    case cudnn_type_void_ptr:
    case cudnn_type_backend_descriptor:
      return 8;
    case cudnn_type_boolean:
    case cudnn_type_char:
      return 1;
    default:
      return 4;
  }
}

int set(void* descriptor, int attribute, int type, std::int64_t count, const void* values) {
  const auto* const from = static_cast<const std::byte*>(values);
  static_cast<Told*>(descriptor)->attributes[attribute] = {
      from, from + size_of(type) * static_cast<std::size_t>(count)};
  return 0;
}

int get(void*, int attribute, int, std::int64_t, std::int64_t* count, void* values) {
  *count = 1;
  if (attribute == cudnn_attr_engineheur_results) {
    ++state.asked;
    *count = state.has_engines ? 1 : 0;
  } else {
    const std::int64_t bytes = state.sums() ? 100 : state.workspace_of_scores;
    std::memcpy(values, &bytes, sizeof bytes);
  }
  return 0;
}

int execute(void*, void*, void* pack) {
  const Told& told = *static_cast<Told*>(pack);
  const auto ids = told.get<std::int64_t>(cudnn_attr_variant_pack_unique_ids);
  const auto pointers = told.get<void*>(cudnn_attr_variant_pack_data_pointers);
  REQUIRE(ids.size() == pointers.size());
  state.pack.clear();
  for (std::size_t i = 0; i < ids.size(); ++i) state.pack[ids[i]] = pointers[i];
  REQUIRE(state.pack.size() == ids.size());
  state.workspace = told.get<void*>(cudnn_attr_variant_pack_workspace).at(0);
  ++state.executed;
  return state.fail_execute;
}

const Cudnn functions = {
    [] { return state.version; },
    [](int) { return "CUDNN_STATUS_EXECUTION_FAILED"; },
    [](void** handle) {
      *handle = &state;
      if (state.fail_create == 0) ++state.handles;
      return state.fail_create;
    },
    [](void*) {
      --state.handles;
      return 0;
    },
    [](void*, void*) { return state.fail_stream; },
    [](int type, void** descriptor) {
      *descriptor = *state.alive.insert(new Told{type, {}}).first;
      return 0;
    },
    [](void* descriptor) {
      state.alive.erase(static_cast<Told*>(descriptor));
      delete static_cast<Told*>(descriptor);
      return 0;
    },
    [](void*) { return 0; },
    set,
    get,
    execute,
};

struct Fresh {
  Fresh() { state = {}; }
  ~Fresh() {
    CHECK(state.alive.empty());
    CHECK(state.handles == 0);
  }
};

constexpr AttentionShape shape_of(bool backward) { return {backward, 2, 64, 4, 2, 16}; }
constexpr std::uint64_t rows = 2 * 4 * 64;

// Memory that is only named, at places that nothing else has.
AttentionData data_at(std::byte* workspace) {
  const auto at = [](std::uintptr_t place) {
    return reinterpret_cast<std::uint16_t*>(place * 4096);
  };
  return {0.5f,
          reinterpret_cast<std::int32_t*>(at(1)),
          at(2),
          at(3),
          at(4),
          at(5),
          reinterpret_cast<float*>(at(6)),
          at(7),
          at(8),
          at(9),
          at(10),
          workspace};
}

void* of(AttentionTensor tensor) { return state.pack.at(static_cast<std::int64_t>(tensor)); }

TEST_CASE("every tensor that a graph has stored is named when it is run, and no other") {
  const Fresh fresh;
  for (const int kind : {0, 1, 2}) {
    CAPTURE(kind);
    if (kind == 2) state.workspace_of_scores = std::int64_t{1} << 40;
    const auto attention = DnnAttention::open(functions, nullptr);
    REQUIRE(attention);
    const AttentionShape shape = shape_of(kind != 0);
    const std::uint64_t bytes = attention->bytes(shape).value();
    CHECK(state.sums() == (kind == 2));
    const std::set<std::int64_t> stored = state.stored();
    std::byte base = {};
    const AttentionData data = data_at(&base);
    VOLT_OK(attention->attend(shape, data));
    std::set<std::int64_t> named;
    for (const auto& [id, pointer] : state.pack) {
      CHECK(pointer != nullptr);
      named.insert(id);
    }
    CHECK(named == stored);
    CHECK(of(AttentionTensor::q) == data.q);
    CHECK(of(AttentionTensor::k) == data.k);
    CHECK(of(AttentionTensor::v) == data.v);
    CHECK(of(AttentionTensor::out) == data.out);
    CHECK(of(AttentionTensor::statistics) == data.statistics);
    CHECK(of(AttentionTensor::lengths) == data.lengths);
    if (kind == 0) {
      CHECK(state.workspace == data.workspace);
      CHECK(bytes == 1000);
      continue;
    }
    CHECK(of(AttentionTensor::dout) == data.dout);
    CHECK(of(AttentionTensor::dq) == data.dq);
    CHECK(of(AttentionTensor::dk) == data.dk);
    CHECK(of(AttentionTensor::dv) == data.dv);
    CHECK(of(AttentionTensor::dots) == data.workspace);
    const std::uint64_t dots = rows * 4, sums = kind == 2 ? rows * 16 * 4 : 0;
    if (kind == 2) CHECK(of(AttentionTensor::sums) == data.workspace + dots);
    CHECK(state.workspace == data.workspace + dots + sums);
    CHECK(bytes == dots + sums + (kind == 2 ? 100 : 1000));
  }
}

TEST_CASE("a shape is compiled once, and one that cuDNN does not have is not asked for again") {
  const Fresh fresh;
  const auto attention = DnnAttention::open(functions, nullptr);
  std::byte base = {};
  CHECK(attention->bytes(shape_of(false)));
  VOLT_OK(attention->attend(shape_of(false), data_at(&base)));
  VOLT_OK(attention->attend(shape_of(false), data_at(&base)));
  CHECK(state.asked == 1);
  state.has_engines = false;
  CHECK(!attention->bytes(shape_of(true)));
  const int asked = state.asked;
  CHECK(!attention->bytes(shape_of(true)));
  CHECK(state.asked == asked);
  VOLT_REFUSED(failed, "cuDNN does not have this attention",
               attention->attend(shape_of(true), data_at(&base)));
  CHECK(state.executed == 2);
}

TEST_CASE("what goes wrong in a run is said") {
  const Fresh fresh;
  const auto attention = DnnAttention::open(functions, nullptr);
  std::byte base = {};
  state.fail_execute = 5000;
  VOLT_REFUSED(failed, "cudnnBackendExecute: CUDNN_STATUS_EXECUTION_FAILED",
               attention->attend(shape_of(false), data_at(&base)));
}

TEST_CASE("a cuDNN that is too old, or has bugs, or no GPU, is none") {
  const Fresh fresh;
  for (const std::size_t version : {8907, 90900, 91000, 91001}) {
    state.version = version;
    CHECK(!DnnAttention::open(functions, nullptr));
  }
  for (const std::size_t version : {91002, 91900, 92600}) {
    state.version = version;
    CHECK(DnnAttention::open(functions, nullptr));
  }
  state.fail_create = 1001;
  CHECK(!DnnAttention::open(functions, nullptr));
  state.fail_create = 0;
  state.fail_stream = 2000;
  CHECK(!DnnAttention::open(functions, nullptr));
}

}  // namespace
}  // namespace volt::kernels::test
