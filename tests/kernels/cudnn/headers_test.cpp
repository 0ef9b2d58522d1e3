// SPDX-License-Identifier: Apache-2.0

// What kernels/cudnn.hpp declares is what the library's own header does. Built where that is.

#include <cudnn_graph.h>
#include <doctest/doctest.h>

#include "../called_alike.hpp"
#include "kernels/cudnn.hpp"

namespace volt::kernels {
namespace {

using test::called_alike;

#define VOLT_CALLED_ALIKE(function) \
  static_assert(called_alike<decltype(Cudnn::function), decltype(&::function)>)
VOLT_CALLED_ALIKE(cudnnGetVersion);
VOLT_CALLED_ALIKE(cudnnGetErrorString);
VOLT_CALLED_ALIKE(cudnnCreate);
VOLT_CALLED_ALIKE(cudnnDestroy);
VOLT_CALLED_ALIKE(cudnnSetStream);
VOLT_CALLED_ALIKE(cudnnBackendCreateDescriptor);
VOLT_CALLED_ALIKE(cudnnBackendDestroyDescriptor);
VOLT_CALLED_ALIKE(cudnnBackendFinalize);
VOLT_CALLED_ALIKE(cudnnBackendSetAttribute);
VOLT_CALLED_ALIKE(cudnnBackendGetAttribute);
VOLT_CALLED_ALIKE(cudnnBackendExecute);
#undef VOLT_CALLED_ALIKE

#define VOLT_SAME(ours, theirs) static_assert(int{ours} == int{theirs})
VOLT_SAME(cudnn_float, CUDNN_DATA_FLOAT);
VOLT_SAME(cudnn_int32, CUDNN_DATA_INT32);
VOLT_SAME(cudnn_bf16, CUDNN_DATA_BFLOAT16);
VOLT_SAME(cudnn_boolean, CUDNN_DATA_BOOLEAN);
VOLT_SAME(cudnn_type_handle, CUDNN_TYPE_HANDLE);
VOLT_SAME(cudnn_type_data_type, CUDNN_TYPE_DATA_TYPE);
VOLT_SAME(cudnn_type_boolean, CUDNN_TYPE_BOOLEAN);
VOLT_SAME(cudnn_type_int64, CUDNN_TYPE_INT64);
VOLT_SAME(cudnn_type_void_ptr, CUDNN_TYPE_VOID_PTR);
VOLT_SAME(cudnn_type_heur_mode, CUDNN_TYPE_HEUR_MODE);
VOLT_SAME(cudnn_type_pointwise_mode, CUDNN_TYPE_POINTWISE_MODE);
VOLT_SAME(cudnn_type_backend_descriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR);
VOLT_SAME(cudnn_type_reduction_operator_type, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE);
VOLT_SAME(cudnn_type_char, CUDNN_TYPE_CHAR);
VOLT_SAME(cudnn_pointwise_add, CUDNN_POINTWISE_ADD);
VOLT_SAME(cudnn_pointwise_mul, CUDNN_POINTWISE_MUL);
VOLT_SAME(cudnn_pointwise_div, CUDNN_POINTWISE_DIV);
VOLT_SAME(cudnn_pointwise_sub, CUDNN_POINTWISE_SUB);
VOLT_SAME(cudnn_pointwise_exp, CUDNN_POINTWISE_EXP);
VOLT_SAME(cudnn_pointwise_log, CUDNN_POINTWISE_LOG);
VOLT_SAME(cudnn_pointwise_identity, CUDNN_POINTWISE_IDENTITY);
VOLT_SAME(cudnn_pointwise_cmp_ge, CUDNN_POINTWISE_CMP_GE);
VOLT_SAME(cudnn_pointwise_cmp_lt, CUDNN_POINTWISE_CMP_LT);
VOLT_SAME(cudnn_pointwise_logical_and, CUDNN_POINTWISE_LOGICAL_AND);
VOLT_SAME(cudnn_pointwise_gen_index, CUDNN_POINTWISE_GEN_INDEX);
VOLT_SAME(cudnn_pointwise_binary_select, CUDNN_POINTWISE_BINARY_SELECT);
VOLT_SAME(cudnn_reduce_add, CUDNN_REDUCE_TENSOR_ADD);
VOLT_SAME(cudnn_reduce_max, CUDNN_REDUCE_TENSOR_MAX);
VOLT_SAME(cudnn_heur_fallback, CUDNN_HEUR_MODE_FALLBACK);
VOLT_SAME(cudnn_heur_a, CUDNN_HEUR_MODE_A);
VOLT_SAME(cudnn_pointwise, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
VOLT_SAME(cudnn_engine_config, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
VOLT_SAME(cudnn_engine_heuristics, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
VOLT_SAME(cudnn_execution_plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
VOLT_SAME(cudnn_operation_pointwise, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
VOLT_SAME(cudnn_operation_graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
VOLT_SAME(cudnn_variant_pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
VOLT_SAME(cudnn_tensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
VOLT_SAME(cudnn_matmul, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
VOLT_SAME(cudnn_operation_matmul, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
VOLT_SAME(cudnn_reduction, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
VOLT_SAME(cudnn_operation_reduction, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
VOLT_SAME(cudnn_operation_reshape, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
VOLT_SAME(cudnn_device_properties, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
VOLT_SAME(cudnn_attr_pointwise_mode, CUDNN_ATTR_POINTWISE_MODE);
VOLT_SAME(cudnn_attr_pointwise_math_prec, CUDNN_ATTR_POINTWISE_MATH_PREC);
VOLT_SAME(cudnn_attr_pointwise_axis, CUDNN_ATTR_POINTWISE_AXIS);
VOLT_SAME(cudnn_attr_engineheur_mode, CUDNN_ATTR_ENGINEHEUR_MODE);
VOLT_SAME(cudnn_attr_engineheur_operation_graph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
VOLT_SAME(cudnn_attr_engineheur_results, CUDNN_ATTR_ENGINEHEUR_RESULTS);
VOLT_SAME(cudnn_attr_engineheur_deviceprop, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
VOLT_SAME(cudnn_attr_execution_plan_handle, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
VOLT_SAME(cudnn_attr_execution_plan_engine_config, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
VOLT_SAME(cudnn_attr_execution_plan_workspace_size, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
VOLT_SAME(cudnn_attr_execution_plan_deviceprop, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
VOLT_SAME(cudnn_attr_operation_pointwise_pw_descriptor,
          CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
VOLT_SAME(cudnn_attr_operation_pointwise_xdesc, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
VOLT_SAME(cudnn_attr_operation_pointwise_bdesc, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
VOLT_SAME(cudnn_attr_operation_pointwise_ydesc, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
VOLT_SAME(cudnn_attr_operation_pointwise_tdesc, CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
VOLT_SAME(cudnn_attr_operationgraph_handle, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
VOLT_SAME(cudnn_attr_operationgraph_ops, CUDNN_ATTR_OPERATIONGRAPH_OPS);
VOLT_SAME(cudnn_attr_tensor_byte_alignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
VOLT_SAME(cudnn_attr_tensor_data_type, CUDNN_ATTR_TENSOR_DATA_TYPE);
VOLT_SAME(cudnn_attr_tensor_dimensions, CUDNN_ATTR_TENSOR_DIMENSIONS);
VOLT_SAME(cudnn_attr_tensor_strides, CUDNN_ATTR_TENSOR_STRIDES);
VOLT_SAME(cudnn_attr_tensor_unique_id, CUDNN_ATTR_TENSOR_UNIQUE_ID);
VOLT_SAME(cudnn_attr_tensor_is_virtual, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
VOLT_SAME(cudnn_attr_tensor_is_by_value, CUDNN_ATTR_TENSOR_IS_BY_VALUE);
VOLT_SAME(cudnn_attr_variant_pack_unique_ids, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
VOLT_SAME(cudnn_attr_variant_pack_data_pointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
VOLT_SAME(cudnn_attr_variant_pack_workspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
VOLT_SAME(cudnn_attr_matmul_comp_type, CUDNN_ATTR_MATMUL_COMP_TYPE);
VOLT_SAME(cudnn_attr_operation_matmul_adesc, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
VOLT_SAME(cudnn_attr_operation_matmul_bdesc, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
VOLT_SAME(cudnn_attr_operation_matmul_cdesc, CUDNN_ATTR_OPERATION_MATMUL_CDESC);
VOLT_SAME(cudnn_attr_operation_matmul_desc, CUDNN_ATTR_OPERATION_MATMUL_DESC);
VOLT_SAME(cudnn_attr_operation_matmul_gemm_m_override_desc,
          CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC);
VOLT_SAME(cudnn_attr_operation_matmul_gemm_n_override_desc,
          CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC);
VOLT_SAME(cudnn_attr_operation_matmul_gemm_k_override_desc,
          CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC);
VOLT_SAME(cudnn_attr_reduction_operator, CUDNN_ATTR_REDUCTION_OPERATOR);
VOLT_SAME(cudnn_attr_reduction_comp_type, CUDNN_ATTR_REDUCTION_COMP_TYPE);
VOLT_SAME(cudnn_attr_operation_reduction_xdesc, CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
VOLT_SAME(cudnn_attr_operation_reduction_ydesc, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
VOLT_SAME(cudnn_attr_operation_reduction_desc, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
VOLT_SAME(cudnn_attr_operation_reshape_xdesc, CUDNN_ATTR_OPERATION_RESHAPE_XDESC);
VOLT_SAME(cudnn_attr_operation_reshape_ydesc, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
VOLT_SAME(cudnn_attr_deviceprop_json_representation, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
#undef VOLT_SAME

TEST_CASE("what we declare of cuDNN is what its header does") {}  // it has been compiled

}  // namespace
}  // namespace volt::kernels
