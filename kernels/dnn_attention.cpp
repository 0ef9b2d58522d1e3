// SPDX-License-Identifier: Apache-2.0

#include "dnn_attention.hpp"

#include <limits>
#include <vector>

#include "check.hpp"

namespace volt::kernels {
namespace {

constexpr std::size_t most_plans = 256;

// 9.10.2: attention of 9.10.0 and 9.10.1 is known to be wrong, and for what is older NVIDIA's
// frontend writes other graphs.
constexpr std::size_t least_version = 91002;

std::uint64_t in_pages(std::uint64_t bytes) { return (bytes + 255) / 256 * 256; }

// What lies in the workspace before cuDNN's own.
struct Workspace {
  std::uint64_t dots = 0, sums = 0;  // bytes
};

Workspace workspace_of(const AttentionShape& shape, const AttentionPlan& plan) {
  if (!shape.backward) return {};
  const std::uint64_t rows = std::uint64_t{shape.samples} * shape.heads * shape.rows;
  return {in_pages(rows * sizeof(float)),
          plan.sums ? in_pages(rows * shape.width * sizeof(float)) : 0};
}

}  // namespace

std::unique_ptr<DnnAttention> DnnAttention::open(const Cudnn& library, CudaStream stream) {
  void* handle = nullptr;
  if (library.cudnnGetVersion() < least_version || library.cudnnCreate(&handle) != 0) return {};
  std::unique_ptr<DnnAttention> made(new DnnAttention(library, handle));
  if (library.cudnnSetStream(handle, stream) != 0) return {};
  return made;
}

DnnAttention::~DnnAttention() {
  plans_.clear();
  library_.cudnnDestroy(handle_);
}

const std::optional<AttentionPlan>& DnnAttention::plan(const AttentionShape& shape) {
  if (const auto found = plans_.find(shape); found != plans_.end()) return found->second;
  if (plans_.size() == most_plans) plans_.clear();
  return plans_.emplace(shape, plan_attention(library_, {handle_, nullptr}, shape)).first->second;
}

std::optional<std::uint64_t> DnnAttention::bytes(const AttentionShape& shape) {
  const std::optional<AttentionPlan>& found = plan(shape);
  if (!found) return {};
  const Workspace before = workspace_of(shape, *found);
  return before.dots + before.sums + found->plan.workspace_bytes;
}

Status DnnAttention::attend(const AttentionShape& shape, const AttentionData& data) {
  const std::optional<AttentionPlan>& found = plan(shape);
  if (!found) return say(Status::failed, "cuDNN does not have this attention");
  const Workspace before = workspace_of(shape, *found);
  float scale = data.scale, unseen = std::numeric_limits<float>::lowest(), one = 1.0f;
  std::vector<std::int64_t> ids;
  std::vector<void*> pointers;
  const auto with = [&](AttentionTensor tensor, void* pointer) {
    ids.push_back(static_cast<std::int64_t>(tensor));
    pointers.push_back(pointer);
  };
  with(AttentionTensor::q, data.q);
  with(AttentionTensor::k, data.k);
  with(AttentionTensor::v, data.v);
  with(AttentionTensor::out, data.out);
  with(AttentionTensor::statistics, data.statistics);
  with(AttentionTensor::lengths, data.lengths);
  with(AttentionTensor::key_lengths, data.lengths);
  with(AttentionTensor::scale, &scale);
  with(AttentionTensor::missing, &unseen);
  with(AttentionTensor::unseen, &unseen);
  if (shape.backward) {
    with(AttentionTensor::dout, data.dout);
    with(AttentionTensor::dq, data.dq);
    with(AttentionTensor::dk, data.dk);
    with(AttentionTensor::dv, data.dv);
    with(AttentionTensor::one, &one);
    with(AttentionTensor::dots, data.workspace);
    if (found->sums) with(AttentionTensor::sums, data.workspace + before.dots);
  }
  void* const rest = data.workspace + before.dots + before.sums;
  DnnDescriptors descriptors(library_);
  void* const pack = descriptors.make(cudnn_variant_pack);
  const auto count = static_cast<std::int64_t>(ids.size());
  descriptors.set(pack, cudnn_attr_variant_pack_unique_ids, cudnn_type_int64, ids.data(), count);
  descriptors.set(pack, cudnn_attr_variant_pack_data_pointers, cudnn_type_void_ptr, pointers.data(),
                  count);
  descriptors.set(pack, cudnn_attr_variant_pack_workspace, cudnn_type_void_ptr, &rest);
  descriptors.finish(pack);
  if (!descriptors.good()) return say(Status::failed, "cuDNN takes no pack of tensors");
  const int outcome = library_.cudnnBackendExecute(handle_, found->plan.plan, pack);
  if (outcome == 0) return {};
  return say(Status::failed, "cudnnBackendExecute: %s", library_.cudnnGetErrorString(outcome));
}

}  // namespace volt::kernels
