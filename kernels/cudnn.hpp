// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// What we need of cuDNN 9, its backend API of graphs, declared here because a machine may have the
/// library without its headers. Names and values are those of cudnn_graph.h; handles and
/// descriptors are pointers that only the library looks into, a status is 0 when all is well.
namespace volt::kernels {

enum CudnnData { cudnn_float = 0, cudnn_int32 = 4, cudnn_bf16 = 9, cudnn_boolean = 11 };

enum CudnnType {
  cudnn_type_handle = 0,
  cudnn_type_data_type = 1,
  cudnn_type_boolean = 2,
  cudnn_type_int64 = 3,
  cudnn_type_void_ptr = 6,
  cudnn_type_heur_mode = 8,
  cudnn_type_pointwise_mode = 14,
  cudnn_type_backend_descriptor = 15,
  cudnn_type_reduction_operator_type = 18,
  cudnn_type_char = 24,
};

enum CudnnPointwise {
  cudnn_pointwise_add = 0,
  cudnn_pointwise_mul = 1,
  cudnn_pointwise_div = 6,
  cudnn_pointwise_sub = 9,
  cudnn_pointwise_exp = 13,
  cudnn_pointwise_log = 15,
  cudnn_pointwise_identity = 21,
  cudnn_pointwise_cmp_ge = 303,
  cudnn_pointwise_cmp_lt = 304,
  cudnn_pointwise_logical_and = 400,
  cudnn_pointwise_gen_index = 501,
  cudnn_pointwise_binary_select = 601,
};

enum CudnnReduction { cudnn_reduce_add = 0, cudnn_reduce_max = 3 };

enum CudnnHeuristics { cudnn_heur_fallback = 2, cudnn_heur_a = 3 };

enum CudnnDescriptor {
  cudnn_pointwise = 0,
  cudnn_engine_config = 3,
  cudnn_engine_heuristics = 4,
  cudnn_execution_plan = 5,
  cudnn_operation_pointwise = 13,
  cudnn_operation_graph = 15,
  cudnn_variant_pack = 16,
  cudnn_tensor = 17,
  cudnn_matmul = 18,
  cudnn_operation_matmul = 19,
  cudnn_reduction = 21,
  cudnn_operation_reduction = 22,
  cudnn_operation_reshape = 31,
  cudnn_device_properties = 38,
};

enum CudnnAttribute {
  cudnn_attr_pointwise_mode = 0,
  cudnn_attr_pointwise_math_prec = 1,
  cudnn_attr_pointwise_axis = 9,
  cudnn_attr_engineheur_mode = 200,
  cudnn_attr_engineheur_operation_graph = 201,
  cudnn_attr_engineheur_results = 202,
  cudnn_attr_engineheur_deviceprop = 204,
  cudnn_attr_execution_plan_handle = 400,
  cudnn_attr_execution_plan_engine_config = 401,
  cudnn_attr_execution_plan_workspace_size = 402,
  cudnn_attr_execution_plan_deviceprop = 407,
  cudnn_attr_operation_pointwise_pw_descriptor = 750,
  cudnn_attr_operation_pointwise_xdesc = 751,
  cudnn_attr_operation_pointwise_bdesc = 752,
  cudnn_attr_operation_pointwise_ydesc = 753,
  cudnn_attr_operation_pointwise_tdesc = 758,
  cudnn_attr_operationgraph_handle = 800,
  cudnn_attr_operationgraph_ops = 801,
  cudnn_attr_tensor_byte_alignment = 900,
  cudnn_attr_tensor_data_type = 901,
  cudnn_attr_tensor_dimensions = 902,
  cudnn_attr_tensor_strides = 903,
  cudnn_attr_tensor_unique_id = 906,
  cudnn_attr_tensor_is_virtual = 907,
  cudnn_attr_tensor_is_by_value = 908,
  cudnn_attr_variant_pack_unique_ids = 1000,
  cudnn_attr_variant_pack_data_pointers = 1001,
  cudnn_attr_variant_pack_workspace = 1003,
  cudnn_attr_matmul_comp_type = 1500,
  cudnn_attr_operation_matmul_adesc = 1520,
  cudnn_attr_operation_matmul_bdesc = 1521,
  cudnn_attr_operation_matmul_cdesc = 1522,
  cudnn_attr_operation_matmul_desc = 1523,
  cudnn_attr_operation_matmul_gemm_m_override_desc = 1525,
  cudnn_attr_operation_matmul_gemm_n_override_desc = 1526,
  cudnn_attr_operation_matmul_gemm_k_override_desc = 1527,
  cudnn_attr_reduction_operator = 1600,
  cudnn_attr_reduction_comp_type = 1601,
  cudnn_attr_operation_reduction_xdesc = 1610,
  cudnn_attr_operation_reduction_ydesc = 1611,
  cudnn_attr_operation_reduction_desc = 1612,
  cudnn_attr_operation_reshape_xdesc = 2200,
  cudnn_attr_operation_reshape_ydesc = 2201,
  cudnn_attr_deviceprop_json_representation = 2702,
};

struct Cudnn {
  std::size_t (*cudnnGetVersion)();
  const char* (*cudnnGetErrorString)(int status);
  int (*cudnnCreate)(void** handle);
  int (*cudnnDestroy)(void* handle);
  int (*cudnnSetStream)(void* handle, void* stream);
  int (*cudnnBackendCreateDescriptor)(int type, void** descriptor);
  int (*cudnnBackendDestroyDescriptor)(void* descriptor);
  int (*cudnnBackendFinalize)(void* descriptor);
  int (*cudnnBackendSetAttribute)(void* descriptor, int attribute, int type, std::int64_t count,
                                  const void* values);
  int (*cudnnBackendGetAttribute)(void* descriptor, int attribute, int type, std::int64_t most,
                                  std::int64_t* count, void* values);
  int (*cudnnBackendExecute)(void* handle, void* plan, void* pack);

  /// with(name, function) for each of them, by their names in the library.
  template <class With>
  void each(With with) {
    with("cudnnGetVersion", cudnnGetVersion);
    with("cudnnGetErrorString", cudnnGetErrorString);
    with("cudnnCreate", cudnnCreate);
    with("cudnnDestroy", cudnnDestroy);
    with("cudnnSetStream", cudnnSetStream);
    with("cudnnBackendCreateDescriptor", cudnnBackendCreateDescriptor);
    with("cudnnBackendDestroyDescriptor", cudnnBackendDestroyDescriptor);
    with("cudnnBackendFinalize", cudnnBackendFinalize);
    with("cudnnBackendSetAttribute", cudnnBackendSetAttribute);
    with("cudnnBackendGetAttribute", cudnnBackendGetAttribute);
    with("cudnnBackendExecute", cudnnBackendExecute);
  }
};

}  // namespace volt::kernels
