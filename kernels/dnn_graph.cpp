// SPDX-License-Identifier: Apache-2.0

#include "dnn_graph.hpp"

#include <utility>

namespace volt::kernels {

DnnDescriptors::~DnnDescriptors() {
  for (; !made_.empty(); made_.pop_back()) {
    library_->cudnnBackendDestroyDescriptor(made_.back());
  }
}

void* DnnDescriptors::make(CudnnDescriptor type) {
  void* made = nullptr;
  if (good_) did(library_->cudnnBackendCreateDescriptor(type, &made));
  if (made != nullptr) made_.push_back(made);
  return made;
}

void DnnDescriptors::set(void* descriptor, CudnnAttribute attribute, CudnnType type,
                         const void* values, std::int64_t count) {
  if (good_) did(library_->cudnnBackendSetAttribute(descriptor, attribute, type, count, values));
}

void DnnDescriptors::set_number(void* descriptor, CudnnAttribute attribute, std::int64_t value) {
  set(descriptor, attribute, cudnn_type_int64, &value);
}

void DnnDescriptors::set_choice(void* descriptor, CudnnAttribute attribute, CudnnType type,
                                int value) {
  set(descriptor, attribute, type, &value);
}

void DnnDescriptors::set_flag(void* descriptor, CudnnAttribute attribute, bool value) {
  set(descriptor, attribute, cudnn_type_boolean, &value);
}

void DnnDescriptors::set_other(void* descriptor, CudnnAttribute attribute, void* other) {
  if (other != nullptr) set(descriptor, attribute, cudnn_type_backend_descriptor, &other);
}

void DnnDescriptors::finish(void* descriptor) {
  if (good_) did(library_->cudnnBackendFinalize(descriptor));
}

void* DnnGraph::tensor(std::int64_t id, CudnnData type, const Extents& extents,
                       const Extents& strides, bool is_virtual, bool is_number) {
  constexpr std::int64_t alignment = 16;
  void* const made = descriptors_.make(cudnn_tensor);
  descriptors_.set_choice(made, cudnn_attr_tensor_data_type, cudnn_type_data_type, type);
  descriptors_.set(made, cudnn_attr_tensor_dimensions, cudnn_type_int64, extents.data(), 4);
  descriptors_.set(made, cudnn_attr_tensor_strides, cudnn_type_int64, strides.data(), 4);
  descriptors_.set_number(made, cudnn_attr_tensor_unique_id, id);
  descriptors_.set_number(made, cudnn_attr_tensor_byte_alignment, is_number ? 4 : alignment);
  descriptors_.set_flag(made, cudnn_attr_tensor_is_virtual, is_virtual);
  descriptors_.set_flag(made, cudnn_attr_tensor_is_by_value, is_number);
  descriptors_.finish(made);
  return made;
}

void* DnnGraph::stored(std::int64_t id, CudnnData type, const Extents& extents,
                       const Extents& strides) {
  return tensor(id, type, extents, strides, false, false);
}

void* DnnGraph::number(std::int64_t id) {
  return tensor(id, cudnn_float, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true);
}

void* DnnGraph::between(CudnnData type, const Extents& extents, const Extents& strides) {
  return tensor(next_++, type, extents, strides, true, false);
}

void DnnGraph::operation(void* made) {
  descriptors_.finish(made);
  operations_.push_back(made);
}

void* DnnGraph::start_pointwise(CudnnPointwise mode, CudnnData precision) {
  void* const made = descriptors_.make(cudnn_pointwise);
  descriptors_.set_choice(made, cudnn_attr_pointwise_mode, cudnn_type_pointwise_mode, mode);
  descriptors_.set_choice(made, cudnn_attr_pointwise_math_prec, cudnn_type_data_type, precision);
  return made;
}

void DnnGraph::point(void* pointwise, void* x, void* b, void* y, void* choose) {
  descriptors_.finish(pointwise);
  void* const made = descriptors_.make(cudnn_operation_pointwise);
  descriptors_.set_other(made, cudnn_attr_operation_pointwise_pw_descriptor, pointwise);
  descriptors_.set_other(made, cudnn_attr_operation_pointwise_xdesc, x);
  descriptors_.set_other(made, cudnn_attr_operation_pointwise_bdesc, b);
  descriptors_.set_other(made, cudnn_attr_operation_pointwise_tdesc, choose);
  descriptors_.set_other(made, cudnn_attr_operation_pointwise_ydesc, y);
  operation(made);
}

void DnnGraph::pointwise(CudnnPointwise mode, void* x, void* b, void* y, CudnnData precision,
                         void* choose) {
  point(start_pointwise(mode, precision), x, b, y, choose);
}

void DnnGraph::indices(int axis, void* like, void* y, CudnnData precision) {
  void* const made = start_pointwise(cudnn_pointwise_gen_index, precision);
  descriptors_.set_number(made, cudnn_attr_pointwise_axis, axis);
  point(made, like, nullptr, y, nullptr);
}

void DnnGraph::multiply(void* a, void* b, void* c, const Varying& varying) {
  void* const product = descriptors_.make(cudnn_matmul);
  descriptors_.set_choice(product, cudnn_attr_matmul_comp_type, cudnn_type_data_type, cudnn_float);
  descriptors_.finish(product);
  void* const made = descriptors_.make(cudnn_operation_matmul);
  descriptors_.set_other(made, cudnn_attr_operation_matmul_desc, product);
  descriptors_.set_other(made, cudnn_attr_operation_matmul_adesc, a);
  descriptors_.set_other(made, cudnn_attr_operation_matmul_bdesc, b);
  descriptors_.set_other(made, cudnn_attr_operation_matmul_cdesc, c);
  descriptors_.set_other(made, cudnn_attr_operation_matmul_gemm_m_override_desc, varying.m);
  descriptors_.set_other(made, cudnn_attr_operation_matmul_gemm_n_override_desc, varying.n);
  descriptors_.set_other(made, cudnn_attr_operation_matmul_gemm_k_override_desc, varying.k);
  operation(made);
}

void DnnGraph::reduce(CudnnReduction reduction, void* x, void* y) {
  void* const kind = descriptors_.make(cudnn_reduction);
  descriptors_.set_choice(kind, cudnn_attr_reduction_operator, cudnn_type_reduction_operator_type,
                          reduction);
  descriptors_.set_choice(kind, cudnn_attr_reduction_comp_type, cudnn_type_data_type, cudnn_float);
  descriptors_.finish(kind);
  void* const made = descriptors_.make(cudnn_operation_reduction);
  descriptors_.set_other(made, cudnn_attr_operation_reduction_desc, kind);
  descriptors_.set_other(made, cudnn_attr_operation_reduction_xdesc, x);
  descriptors_.set_other(made, cudnn_attr_operation_reduction_ydesc, y);
  operation(made);
}

void DnnGraph::reshape(void* x, void* y) {
  void* const made = descriptors_.make(cudnn_operation_reshape);
  descriptors_.set_other(made, cudnn_attr_operation_reshape_xdesc, x);
  descriptors_.set_other(made, cudnn_attr_operation_reshape_ydesc, y);
  operation(made);
}

std::optional<DnnPlan> DnnGraph::compile(const DnnTarget& target) && {
  void* const graph = descriptors_.make(cudnn_operation_graph);
  if (target.handle != nullptr) {
    descriptors_.set(graph, cudnn_attr_operationgraph_handle, cudnn_type_handle, &target.handle);
  }
  descriptors_.set(graph, cudnn_attr_operationgraph_ops, cudnn_type_backend_descriptor,
                   operations_.data(), static_cast<std::int64_t>(operations_.size()));
  descriptors_.finish(graph);
  for (const CudnnHeuristics mode : {cudnn_heur_a, cudnn_heur_fallback}) {
    for (void* const engine : engines(graph, mode, target)) {
      void* const plan = descriptors_.make(cudnn_execution_plan);
      if (const auto bytes = finish_plan(plan, engine, target)) {
        return DnnPlan{std::move(descriptors_), plan, *bytes};
      }
    }
  }
  return {};
}

std::vector<void*> DnnGraph::engines(void* graph, CudnnHeuristics mode, const DnnTarget& target) {
  void* const heuristics = descriptors_.make(cudnn_engine_heuristics);
  descriptors_.set_other(heuristics, cudnn_attr_engineheur_operation_graph, graph);
  descriptors_.set_choice(heuristics, cudnn_attr_engineheur_mode, cudnn_type_heur_mode, mode);
  descriptors_.set_other(heuristics, cudnn_attr_engineheur_deviceprop, target.device);
  descriptors_.finish(heuristics);
  std::vector<void*> found(8);
  for (void*& engine : found) engine = descriptors_.make(cudnn_engine_config);
  std::int64_t count = 0;
  if (!descriptors_.good() || descriptors_.library().cudnnBackendGetAttribute(
                                  heuristics, cudnn_attr_engineheur_results,
                                  cudnn_type_backend_descriptor, 8, &count, found.data()) != 0) {
    count = 0;
  }
  found.resize(static_cast<std::size_t>(count));
  return found;
}

// An engine that cannot is no failure of the graph: the next one may.
std::optional<std::uint64_t> DnnGraph::finish_plan(void* plan, void* engine,
                                                   const DnnTarget& target) const {
  if (!descriptors_.good()) return {};
  const Cudnn& dnn = descriptors_.library();
  const auto set = [&](CudnnAttribute attribute, CudnnType type, const void* value) {
    return dnn.cudnnBackendSetAttribute(plan, attribute, type, 1, value) == 0;
  };
  std::int64_t count = 0, bytes = 0;
  if ((target.handle != nullptr &&
       !set(cudnn_attr_execution_plan_handle, cudnn_type_handle, &target.handle)) ||
      !set(cudnn_attr_execution_plan_engine_config, cudnn_type_backend_descriptor, &engine) ||
      (target.device != nullptr &&
       !set(cudnn_attr_execution_plan_deviceprop, cudnn_type_backend_descriptor, &target.device)) ||
      dnn.cudnnBackendFinalize(plan) != 0 ||
      dnn.cudnnBackendGetAttribute(plan, cudnn_attr_execution_plan_workspace_size, cudnn_type_int64,
                                   1, &count, &bytes) != 0 ||
      bytes < 0) {
    return {};
  }
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace volt::kernels
